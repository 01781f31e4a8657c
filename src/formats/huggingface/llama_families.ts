/** Llama and the dense decoders that copied its layout. */
import type { Config } from './config';
import {
  type DecoderDefaults,
  describeDecoder,
  expectLayerTypes,
  type Family,
  LLAMA_NAMES,
  QK_NORM_NAMES,
  SILU,
} from './family';
import type { Metadata } from './metadata';
import { ropeParameters } from './rope';

const never = (): boolean => false;

export const llama: Family = {
  architecture: 'llama',
  activations: SILU,
  names: LLAMA_NAMES,
  interleaved: true,
  describe: (config, metadata) => describeDecoder(config, metadata),
};

export const mistral: Family = {
  ...llama,
  describe: (config, metadata) => describeDecoder(config, metadata, {}, config.optionalInteger('sliding_window')),
};

/** Mistral Small 3, and Ministral 3, whose configurations say how attention gets colder beyond the trained context. */
export const mistral3: Family = {
  ...mistral,
  architecture: 'mistral3',
  describe(config, metadata) {
    const beta = ropeParameters(config)?.optionalReal('llama_4_scaling_beta');
    if (beta !== undefined) metadata.f32('attention.temperature_scale', beta);
    return mistral.describe(config, metadata);
  },
};

/** Qwen2 and 3 configurations know a window that no published model uses. */
export function describeQwen(
  config: Config,
  metadata: Metadata,
  defaults: DecoderDefaults = {},
): ReturnType<Family['describe']> {
  config.expect('use_sliding_window', [false]);
  expectLayerTypes(config, never);
  return describeDecoder(config, metadata, { contextLength: 32_768, ...defaults });
}

export const qwen2: Family = { architecture: 'qwen2', activations: SILU, names: LLAMA_NAMES, describe: describeQwen };

export const qwen3: Family = {
  ...qwen2,
  architecture: 'qwen3',
  names: { ...LLAMA_NAMES, ...QK_NORM_NAMES },
  describe: (config, metadata) => describeQwen(config, metadata, { headDim: 128 }),
};

export const phi3: Family = {
  architecture: 'phi3',
  activations: SILU,
  names: {
    ...LLAMA_NAMES,
    'model.layers.{l}.self_attn.qkv_proj': 'blk.{l}.attn_qkv',
    'model.layers.{l}.mlp.gate_up_proj': 'blk.{l}.ffn_up',
  },
  describe(config, metadata) {
    const tensors = describeDecoder(config, metadata);
    const original = config.optionalInteger('original_max_position_embeddings');
    metadata.u32('rope.scaling.original_context_length', original ?? config.integer('max_position_embeddings'));
    const window = config.optionalInteger('sliding_window');
    if (window !== undefined) metadata.u32('attention.sliding_window', window);
    return tensors;
  },
};

const POST_NORMS: Readonly<Record<string, string>> = {
  'model.layers.{l}.post_attention_layernorm': 'blk.{l}.post_attention_norm',
  'model.layers.{l}.post_feedforward_layernorm': 'blk.{l}.post_ffw_norm',
};

export const olmo2: Family = {
  architecture: 'olmo2',
  activations: SILU,
  names: { ...LLAMA_NAMES, ...QK_NORM_NAMES, ...POST_NORMS },
  describe: (config, metadata) => describeDecoder(config, metadata),
};

export const olmo3: Family = {
  ...olmo2,
  describe(config, metadata) {
    expectLayerTypes(config, (layer) => layer % 4 !== 3);
    metadata.u32('attention.sliding_window', config.integer('sliding_window'));
    return describeDecoder(config, metadata);
  },
};

export const granite: Family = {
  ...llama,
  architecture: 'granite',
  describe(config, metadata) {
    metadata.f32('attention.scale', config.real('attention_multiplier', 1));
    metadata.f32('embedding_scale', config.real('embedding_multiplier', 1));
    metadata.f32('residual_scale', config.real('residual_multiplier', 1));
    metadata.f32('logit_scale', config.real('logits_scaling', 1));
    return describeDecoder(config, metadata);
  },
};

export const smollm3: Family = {
  ...llama,
  architecture: 'smollm3',
  describe(config, metadata) {
    config.expect('use_sliding_window', [false]);
    config.expect('no_rope_layer_interval', [4]);
    expectLayerTypes(config, never);
    config.list('no_rope_layers')?.forEach((rope, layer) => {
      if (rope !== (layer % 4 === 3 ? 0 : 1)) {
        throw config.unsupported(
          `no_rope_layers[${layer}] = ${JSON.stringify(rope)}: only every fourth layer may lack RoPE`,
        );
      }
    });
    return describeDecoder(config, metadata);
  },
};
