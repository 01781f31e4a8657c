/**
 * OLMo 2 and 3 (OLMo Team 2024, 2025): norms after the branches instead of before, norms of all of Q and all of K. With a window (OLMo 3),
 * three of four layers slide and rotate without the scaling that the others have.
 */
import type { ModelSpec } from '../model_spec';
import type { DecoderReader } from './decoder_reader';

export function readOlmo2(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  const slides = reader.window(0, 4) !== undefined;
  const local = slides ? reader.localRope('halves', reader.positiveReal('rope.freq_base', 10000)) : rope;
  const { table, output } = reader.tables();
  return reader.finish({
    embedding: { table, scale: 1 },
    layers: reader.layers((layer) => {
      const window = reader.window(layer, 4);
      const attention = reader.attention(layer, { rope: window ? local : rope, window, qkNorm: 'projection' });
      return [
        [{ branch: attention, postNorm: reader.rmsNorm(reader.at(layer, 'post_attention_norm')) }],
        [{ branch: reader.gatedFfn(layer, 'silu'), postNorm: reader.rmsNorm(reader.at(layer, 'post_ffw_norm')) }],
      ];
    }),
    head: { norm: reader.rmsNorm('output_norm'), weight: output },
  });
}
