/** Granite (IBM 2024): Llama with scales for embeddings, residuals and attention, and logits that are divided by one; with experts or without. */
import { optionalBool } from '../../formats/gguf/gguf';
import type { ModelSpec } from '../model_spec';
import type { Branch } from './decoder';
import type { DecoderReader } from './decoder_reader';
import { readExperts } from './experts';
import { preNormLayer } from './llama';

export function readGranite(reader: DecoderReader): ModelSpec {
  // The key's other meaning is lost in files of this family: false says that nothing rotates.
  const rotates = optionalBool(reader.gguf, reader.key('rope.scaling.finetuned')) ?? true;
  const rope = rotates ? reader.rope('interleaved') : undefined;
  const { table, output } = reader.tables();
  const attentionScale = reader.optional('attention.scale');
  const residualScale = reader.optional('residual_scale');
  const size = reader.positive('feed_forward_length');
  const sharedSize = reader.optional('expert_shared_feed_forward_length');
  const ffn = (layer: number): Branch =>
    reader.optional('expert_count') === undefined
      ? reader.gatedFfn(layer, 'silu')
      : readExperts(reader, layer, { size, normalise: true, sharedSize });
  return reader.finish({
    embedding: { table, scale: reader.optional('embedding_scale') ?? 1 },
    layers: reader.layers((layer) => {
      const attention = reader.attention(layer, { rope, ...(attentionScale && { scale: attentionScale }) });
      return preNormLayer(reader, layer, attention, ffn(layer), residualScale);
    }),
    head: {
      norm: reader.rmsNorm('output_norm'),
      weight: output,
      scale: 1 / reader.positiveReal('logit_scale'),
    },
  });
}
