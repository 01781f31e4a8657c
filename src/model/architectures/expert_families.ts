/** Families whose every layer has experts in place of a feed-forward network. Mixtral is read as llama. */
import type { ModelSpec } from '../model_spec';
import type { DecoderReader } from './decoder_reader';
import { readExperts } from './experts';
import { preNormModel } from './llama';

/** Width of an expert; without the key the dense width is shared out among those that a row takes. */
function expertSize(reader: DecoderReader): number {
  const dense = reader.optional('feed_forward_length') ?? 0;
  return reader.positive('expert_feed_forward_length', Math.floor(dense / reader.positive('expert_used_count')));
}

/** Qwen3 with experts (Yang et al. 2025): no shared one, weights that sum to 1. */
export function readQwen3Moe(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  const size = expertSize(reader);
  return preNormModel(
    reader,
    (layer) => reader.attention(layer, { rope, qkNorm: 'head' }),
    (layer) => readExperts(reader, layer, { size, normalise: true }),
  );
}

/** Qwen1.5 and Qwen2 with experts (Yang et al. 2024): a shared expert behind a gate, weights as the softmax over all gives them. */
export function readQwen2Moe(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  const size = expertSize(reader);
  const sharedSize = reader.optional('expert_shared_feed_forward_length') ?? reader.positive('feed_forward_length');
  return preNormModel(
    reader,
    (layer) => reader.attention(layer, { rope }),
    (layer) => readExperts(reader, layer, { size, normalise: false, sharedSize, sharedGate: true }),
  );
}

/** OLMoE (Muennighoff et al. 2024): norms of all of Q and all of K, weights as the softmax over all gives them. */
export function readOlmoe(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  const size = reader.positive('feed_forward_length');
  return preNormModel(
    reader,
    (layer) => reader.attention(layer, { rope, qkNorm: 'projection' }),
    (layer) => readExperts(reader, layer, { size, normalise: false }),
  );
}

/**
 * gpt-oss (OpenAI 2025): attention sinks, a window in every other layer from the first on, biases everywhere, a clamped SwiGLU. The norm
 * before the experts is called `post_attention_norm`.
 */
export function readGptOss(reader: DecoderReader): ModelSpec {
  const rope = reader.rope('halves');
  const size = expertSize(reader);
  const { table, output } = reader.tables();
  return reader.finish({
    embedding: { table, scale: 1 },
    layers: reader.layers((layer) => {
      const at = (name: string): string => reader.at(layer, name);
      const { numHeads } = reader.heads(layer);
      const sinks = reader.tensors.vector(at('attn_sinks'), [{ tensor: at('attn_sinks.weight'), length: numHeads }]);
      const attention = reader.attention(layer, { rope, sinks, window: reader.window(layer, 2) });
      const experts = readExperts(reader, layer, { size, normalise: true, activation: 'swiglu_clamped' });
      return [
        [{ norm: reader.rmsNorm(at('attn_norm')), branch: attention }],
        [{ norm: reader.rmsNorm(at('post_attention_norm')), branch: experts }],
      ];
    }),
    head: { norm: reader.rmsNorm('output_norm'), weight: output },
  });
}
