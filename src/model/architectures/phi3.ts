/**
 * Phi-3 and Phi-4-mini (Abdin et al. 2024): Llama with fused Q, K and V, gate and up in one tensor, RoPE of the split kind with long factors.
 * The window that its files name is left out, as llama.cpp leaves it out.
 */
import type { ModelSpec } from '../model_spec';
import type { DecoderReader } from './decoder_reader';
import { preNormLayer } from './llama';

export function readPhi3(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  const { table, output } = reader.tables();
  return reader.finish({
    embedding: { table, scale: 1 },
    layers: reader.layers((layer) =>
      preNormLayer(reader, layer, reader.attention(layer, { rope }), reader.gatedFfn(layer, 'silu', true)),
    ),
    head: { norm: reader.rmsNorm('output_norm'), weight: output },
  });
}
