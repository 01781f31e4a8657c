/**
 * Llama (Touvron et al. 2023; Grattafiori et al. 2024) and the families that differ from it in a detail: RMSNorm → grouped-query attention
 * with RoPE → residual → RMSNorm → SwiGLU → residual; tied or untied output.
 */
import { UnsupportedModelError } from '../../errors';
import type { ModelSpec } from '../model_spec';
import type { Branch, Stage } from './decoder';
import type { DecoderReader } from './decoder_reader';
import { readExperts } from './experts';

/** A layer with a norm before attention and one before the feed-forward network. */
export function preNormLayer(
  reader: DecoderReader,
  layer: number,
  attention: Branch,
  ffn: Branch,
  scale?: number,
): Stage[] {
  return [
    [{ norm: reader.rmsNorm(reader.at(layer, 'attn_norm')), branch: attention, scale }],
    [{ norm: reader.rmsNorm(reader.at(layer, 'ffn_norm')), branch: ffn, scale }],
  ];
}

/** A model of such layers. */
export function preNormModel(
  reader: DecoderReader,
  attention: (layer: number) => Branch,
  ffn: (layer: number) => Branch = (layer) => reader.gatedFfn(layer, 'silu'),
): ModelSpec {
  const { table, output } = reader.tables();
  return reader.finish({
    embedding: { table, scale: 1 },
    layers: reader.layers((layer) => preNormLayer(reader, layer, attention(layer), ffn(layer))),
    head: { norm: reader.rmsNorm('output_norm'), weight: output },
  });
}

/** Llama 2 and 3, Mistral (whose window llama.cpp leaves out too), TinyLlama, SmolLM2 and their kin; with experts Mixtral (Jiang et al. 2024). */
export function readLlama(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('interleaved');
  const attention = (layer: number): Branch => reader.attention(layer, { rope });
  if (reader.optional('expert_count') === undefined) return preNormModel(reader, attention);
  const size = reader.positive('feed_forward_length');
  return preNormModel(reader, attention, (layer) => readExperts(reader, layer, { size, normalise: true }));
}

/** Mistral 3 and Ministral 3 (Mistral AI 2025): YaRN. Attention gets colder in steps of `attention.temperature_length` positions. */
export function readMistral3(reader: DecoderReader): ModelSpec {
  const length =
    reader.optional('attention.temperature_length') ?? reader.optional('rope.scaling.original_context_length');
  if (reader.optional('attention.temperature_scale') && length !== undefined && reader.contextLength > length) {
    throw new UnsupportedModelError(
      `${reader.key('attention.temperature_scale')}: contexts longer than ${length} are not supported`,
    );
  }
  const rope = reader.rope('interleaved');
  return preNormModel(reader, (layer) => reader.attention(layer, { rope }));
}

/** Qwen2 and Qwen2.5 (Yang et al. 2024): biases of Q, K and V. */
export function readQwen2(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  return preNormModel(reader, (layer) => reader.attention(layer, { rope }));
}

/** Qwen3 (Yang et al. 2025): norms of each query and key head. */
export function readQwen3(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  return preNormModel(reader, (layer) => reader.attention(layer, { rope, qkNorm: 'head' }));
}

/** SmolLM3 (Bakouch et al. 2025): no positions in every fourth layer (Yang et al. 2025, "RNoPE"). */
export function readSmolLm3(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('interleaved');
  return preNormModel(reader, (layer) => reader.attention(layer, { rope: (layer + 1) % 4 === 0 ? undefined : rope }));
}
