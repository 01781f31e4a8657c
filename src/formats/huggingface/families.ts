/**
 * The families of transformers that are read, by `model_type`. Keys, names and changes to values are those of llama.cpp's converter,
 * so that an architecture reads a checkpoint as it reads a GGUF file.
 */
import type { Config } from './config';
import {
  type DecoderDefaults,
  describeDecoder,
  expectLayerTypes,
  type Family,
  GELU_TANH,
  headDimOf,
  LLAMA_NAMES,
  QK_NORM_NAMES,
  SILU,
} from './family';
import { bert, cohere2, phi, stablelm, starcoder2 } from './layer_norm_families';
import type { Metadata } from './metadata';
import { ropeParameters } from './rope';

const never = (): boolean => false;

const llama: Family = {
  architecture: 'llama',
  activations: SILU,
  names: LLAMA_NAMES,
  interleaved: true,
  describe: (config, metadata) => describeDecoder(config, metadata),
};

const mistral: Family = {
  ...llama,
  describe: (config, metadata) => describeDecoder(config, metadata, {}, config.optionalInteger('sliding_window')),
};

const mixtral: Family = {
  ...mistral,
  names: {
    ...LLAMA_NAMES,
    'model.layers.{l}.block_sparse_moe.gate': 'blk.{l}.ffn_gate_inp',
    'model.layers.{l}.block_sparse_moe.experts.{e}.w1': 'blk.{l}.ffn_gate_exps',
    'model.layers.{l}.block_sparse_moe.experts.{e}.w2': 'blk.{l}.ffn_down_exps',
    'model.layers.{l}.block_sparse_moe.experts.{e}.w3': 'blk.{l}.ffn_up_exps',
  },
  describe(config, metadata) {
    metadata.u32('expert_count', config.integer('num_local_experts'));
    metadata.u32('expert_used_count', config.integer('num_experts_per_tok'));
    return mistral.describe(config, metadata);
  },
};

/** Qwen2 and 3 configurations know a window that no published model uses. */
function describeQwen(
  config: Config,
  metadata: Metadata,
  defaults: DecoderDefaults = {},
): ReturnType<Family['describe']> {
  config.expect('use_sliding_window', [false]);
  expectLayerTypes(config, never);
  return describeDecoder(config, metadata, { contextLength: 32_768, ...defaults });
}

const qwen2: Family = { architecture: 'qwen2', activations: SILU, names: LLAMA_NAMES, describe: describeQwen };

const qwen3: Family = {
  ...qwen2,
  architecture: 'qwen3',
  names: { ...LLAMA_NAMES, ...QK_NORM_NAMES },
  describe: (config, metadata) => describeQwen(config, metadata, { headDim: 128 }),
};

const EXPERT_NAMES: Readonly<Record<string, string>> = {
  'model.layers.{l}.mlp.gate': 'blk.{l}.ffn_gate_inp',
  'model.layers.{l}.mlp.experts.{e}.gate_proj': 'blk.{l}.ffn_gate_exps',
  'model.layers.{l}.mlp.experts.{e}.up_proj': 'blk.{l}.ffn_up_exps',
  'model.layers.{l}.mlp.experts.{e}.down_proj': 'blk.{l}.ffn_down_exps',
};

function describeExperts(config: Config, metadata: Metadata, numExperts: number, size: number): void {
  config.expect('decoder_sparse_step', [1]);
  if ((config.list('mlp_only_layers') ?? []).length > 0) {
    throw config.unsupported('"mlp_only_layers" is not supported (every layer has experts)');
  }
  metadata.u32('expert_count', numExperts);
  metadata.u32('expert_used_count', config.integer('num_experts_per_tok'));
  metadata.u32('expert_feed_forward_length', size);
}

const qwen2moe: Family = {
  ...qwen2,
  architecture: 'qwen2moe',
  names: {
    ...LLAMA_NAMES,
    ...EXPERT_NAMES,
    'model.layers.{l}.mlp.shared_expert_gate': 'blk.{l}.ffn_gate_inp_shexp',
    'model.layers.{l}.mlp.shared_expert.gate_proj': 'blk.{l}.ffn_gate_shexp',
    'model.layers.{l}.mlp.shared_expert.up_proj': 'blk.{l}.ffn_up_shexp',
    'model.layers.{l}.mlp.shared_expert.down_proj': 'blk.{l}.ffn_down_shexp',
  },
  describe(config, metadata) {
    config.expect('norm_topk_prob', [false]);
    describeExperts(config, metadata, config.integer('num_experts'), config.integer('moe_intermediate_size'));
    metadata.u32('expert_shared_feed_forward_length', config.integer('shared_expert_intermediate_size'));
    return describeQwen(config, metadata);
  },
};

const qwen3moe: Family = {
  ...qwen3,
  architecture: 'qwen3moe',
  names: { ...LLAMA_NAMES, ...QK_NORM_NAMES, ...EXPERT_NAMES },
  describe(config, metadata) {
    config.expect('norm_topk_prob', [true]);
    describeExperts(config, metadata, config.integer('num_experts'), config.integer('moe_intermediate_size'));
    return qwen3.describe(config, metadata);
  },
};

const olmoe: Family = {
  ...qwen3moe,
  architecture: 'olmoe',
  describe(config, metadata) {
    config.expect('norm_topk_prob', [false]);
    config.expect('clip_qkv', []);
    describeExperts(config, metadata, config.integer('num_experts', 64), config.integer('intermediate_size'));
    return describeDecoder(config, metadata, { normEps: 1e-5 });
  },
};

const gemma: Family = {
  architecture: 'gemma',
  // Its first configurations say "gelu" and mean the approximation.
  activations: ['gelu', ...GELU_TANH],
  names: LLAMA_NAMES,
  normsPlusOne: true,
  describe: (config, metadata) =>
    describeDecoder(config, metadata, { normEps: 1e-6, headDim: 256, contextLength: 8192 }),
};

const GEMMA_NORMS: Readonly<Record<string, string>> = {
  'model.layers.{l}.post_attention_layernorm': 'blk.{l}.post_attention_norm',
  'model.layers.{l}.pre_feedforward_layernorm': 'blk.{l}.ffn_norm',
  'model.layers.{l}.post_feedforward_layernorm': 'blk.{l}.post_ffw_norm',
};

/** Attention scores are divided by √head size, which these configurations say by the square of the divisor. */
function expectPlainScale(config: Config, headDim: number): void {
  const scalar = config.optionalReal('query_pre_attn_scalar') ?? headDim;
  if (scalar !== headDim) {
    throw config.unsupported(`query_pre_attn_scalar = ${scalar} is not supported (the head size ${headDim} is)`);
  }
}

const gemma2: Family = {
  ...gemma,
  architecture: 'gemma2',
  activations: GELU_TANH,
  names: { ...LLAMA_NAMES, ...GEMMA_NORMS },
  describe(config, metadata) {
    const defaults = { normEps: 1e-6, headDim: 256, contextLength: 8192 };
    expectPlainScale(config, headDimOf(config, defaults));
    expectLayerTypes(config, (layer) => layer % 2 === 0);
    metadata.f32('attn_logit_softcapping', config.real('attn_logit_softcapping', 50));
    metadata.f32('final_logit_softcapping', config.real('final_logit_softcapping', 30));
    metadata.u32('attention.sliding_window', config.integer('sliding_window', 4096));
    return describeDecoder(config, metadata, defaults);
  },
};

const gemma3: Family = {
  ...gemma,
  architecture: 'gemma3',
  activations: GELU_TANH,
  names: { ...LLAMA_NAMES, ...GEMMA_NORMS, ...QK_NORM_NAMES },
  describe(config, metadata) {
    // Embedding models of the same type.
    config.expect('use_bidirectional_attention', [false]);
    const defaults = {
      numHeads: 8,
      numKvHeads: 4,
      headDim: 256,
      normEps: 1e-6,
      contextLength: 131_072,
      ropeTheta: 1_000_000,
    };
    expectPlainScale(config, headDimOf(config, defaults));
    config.expect('attn_logit_softcapping', []);
    config.expect('final_logit_softcapping', []);
    config.expect('sliding_window_pattern', [6]);
    expectLayerTypes(config, (layer) => layer % 6 !== 5);
    metadata.u32('attention.sliding_window', config.integer('sliding_window', 4096));
    const local = ropeParameters(config, 'sliding_attention');
    const base = config.nested('rope_parameters') ? local?.optionalReal('rope_theta') : undefined;
    const localBase = base ?? config.real('rope_local_base_freq', 10_000);
    if (localBase !== 10_000) {
      throw config.unsupported(`a RoPE base of ${localBase} in sliding layers is not supported (10000 is)`);
    }
    return describeDecoder(config, metadata, defaults);
  },
};

const phi3: Family = {
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

const olmo2: Family = {
  architecture: 'olmo2',
  activations: SILU,
  names: { ...LLAMA_NAMES, ...QK_NORM_NAMES, ...POST_NORMS },
  describe: (config, metadata) => describeDecoder(config, metadata),
};

const olmo3: Family = {
  ...olmo2,
  describe(config, metadata) {
    expectLayerTypes(config, (layer) => layer % 4 !== 3);
    metadata.u32('attention.sliding_window', config.integer('sliding_window'));
    return describeDecoder(config, metadata);
  },
};

const granite: Family = {
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

const smollm3: Family = {
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

export const FAMILIES: ReadonlyMap<string, Family> = new Map([
  ['llama', llama],
  ['mistral', mistral],
  ['mixtral', mixtral],
  ['qwen2', qwen2],
  ['qwen2_moe', qwen2moe],
  ['qwen3', qwen3],
  ['qwen3_moe', qwen3moe],
  ['olmoe', olmoe],
  ['gemma', gemma],
  ['gemma2', gemma2],
  ['gemma3', gemma3],
  ['gemma3_text', gemma3],
  ['phi3', phi3],
  ['olmo2', olmo2],
  ['olmo3', olmo3],
  ['granite', granite],
  ['smollm3', smollm3],
  ['starcoder2', starcoder2],
  ['cohere2', cohere2],
  ['stablelm', stablelm],
  ['phi', phi],
  ['bert', bert],
]);
