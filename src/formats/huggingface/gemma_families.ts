/** Gemma's families: norms stored as offsets from 1 up to Gemma 3, two kinds of layers from Gemma 2 on. */
import type { Config } from './config';
import { renamed } from './conversions';
import {
  describeDecoder,
  expectLayerTypes,
  type Family,
  GELU_TANH,
  headDimOf,
  LLAMA_NAMES,
  QK_NORM_NAMES,
} from './family';
import type { Metadata } from './metadata';
import { type ComputedTensor, ropeParameters } from './rope';

export const gemma: Family = {
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

export const gemma2: Family = {
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

export const gemma3: Family = {
  ...gemma,
  architecture: 'gemma3',
  activations: GELU_TANH,
  names: { ...LLAMA_NAMES, ...GEMMA_NORMS, ...QK_NORM_NAMES },
  variant: (config) => (config.flag('use_bidirectional_attention', false) ? gemmaEmbedding : undefined),
  describe(config, metadata) {
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

/** EmbeddingGemma: the same that looks both ways. Its window is as wide in the configuration as in GGUF: half to each side. */
const gemmaEmbedding: Family = {
  ...gemma3,
  architecture: 'gemma-embedding',
  headless: true,
};

const GEMMA4_LAYER = 'model.layers.{l}';

export const gemma4: Family = {
  architecture: 'gemma4',
  activations: GELU_TANH,
  names: {
    ...LLAMA_NAMES,
    ...GEMMA_NORMS,
    ...QK_NORM_NAMES,
    'model.embed_tokens_per_layer': 'per_layer_token_embd',
    'model.per_layer_model_projection': 'per_layer_model_proj',
    'model.per_layer_projection_norm': 'per_layer_proj_norm',
    [`${GEMMA4_LAYER}.per_layer_input_gate`]: 'blk.{l}.inp_gate',
    [`${GEMMA4_LAYER}.per_layer_projection`]: 'blk.{l}.proj',
    [`${GEMMA4_LAYER}.post_per_layer_input_norm`]: 'blk.{l}.post_norm',
    [`${GEMMA4_LAYER}.router.proj`]: 'blk.{l}.ffn_gate_inp',
    [`${GEMMA4_LAYER}.post_feedforward_layernorm_1`]: 'blk.{l}.post_ffw_norm_1',
    [`${GEMMA4_LAYER}.pre_feedforward_layernorm_2`]: 'blk.{l}.pre_ffw_norm_2',
    [`${GEMMA4_LAYER}.post_feedforward_layernorm_2`]: 'blk.{l}.post_ffw_norm_2',
  },
  conversions: {
    [`${GEMMA4_LAYER}.layer_scalar`]: renamed('blk.{l}.layer_output_scale.weight'),
    [`${GEMMA4_LAYER}.router.scale`]: renamed('blk.{l}.ffn_gate_inp.scale'),
    [`${GEMMA4_LAYER}.router.per_expert_scale`]: renamed('blk.{l}.ffn_down_exps.scale'),
    [`${GEMMA4_LAYER}.experts.gate_up_proj`]: renamed('blk.{l}.ffn_gate_up_exps.weight'),
    [`${GEMMA4_LAYER}.experts.down_proj`]: renamed('blk.{l}.ffn_down_exps.weight'),
  },
  // Layers that read another one's cache have no use for keys and values of their own, which some checkpoints keep.
  ignores(name, config) {
    const layer = /\.layers\.(\d+)\.self_attn\.[kv]_(?:proj|norm)\./.exec(name)?.[1];
    return layer !== undefined && Number(layer) >= ownCaches(config);
  },
  describe: describeGemma4,
};

/** Layers with keys and values of their own. */
function ownCaches(config: Config): number {
  return config.integer('num_hidden_layers') - config.count('num_kv_shared_layers');
}

function describeGemma4(config: Config, metadata: Metadata): readonly ComputedTensor[] {
  config.expect('use_bidirectional_attention', ['vision']);
  if (config.flag('enable_moe_block', false)) {
    metadata.u32('expert_count', config.integer('num_experts'));
    metadata.u32('expert_used_count', config.integer('top_k_experts'));
    metadata.u32('expert_feed_forward_length', config.integer('moe_intermediate_size'));
  }
  const layers = config.integer('num_hidden_layers');
  const types = config.list('layer_types');
  const slides = Array.from({ length: layers }, (_, layer) =>
    types ? types[layer] === 'sliding_attention' : layer % 6 !== 5,
  );
  expectLayerTypes(config, (layer) => slides[layer]);
  const headDim = config.integer('head_dim', 256);
  const globalHeadDim = config.integer('global_head_dim', 512);
  metadata.u32('block_count', layers);
  metadata.u32('context_length', config.integer('max_position_embeddings', 131_072));
  metadata.u32('embedding_length', config.integer('hidden_size'));
  metadata.u32('attention.head_count', config.integer('num_attention_heads'));
  metadata.f32('attention.layer_norm_rms_epsilon', config.real('rms_norm_eps', 1e-6));
  metadata.u32('attention.key_length', globalHeadDim);
  metadata.u32('attention.value_length', globalHeadDim);
  metadata.u32('attention.key_length_swa', headDim);
  metadata.u32('attention.value_length_swa', headDim);
  metadata.u32('attention.sliding_window', config.integer('sliding_window', 512));
  metadata.bools('attention.sliding_window_pattern', slides);
  metadata.u32('attention.shared_kv_layers', config.count('num_kv_shared_layers'));
  const kvHeads = config.integer('num_key_value_heads');
  // Transformers reads the other number only where keys serve as values.
  const globalKvHeads = config.flag('attention_k_eq_v', false)
    ? config.integer('num_global_key_value_heads', kvHeads)
    : kvHeads;
  metadata.integers(
    'attention.head_count_kv',
    slides.map((local) => (local ? kvHeads : globalKvHeads)),
  );
  const size = config.integer('intermediate_size');
  if (config.flag('use_double_wide_mlp', false)) {
    const own = ownCaches(config);
    metadata.integers(
      'feed_forward_length',
      slides.map((_, layer) => (layer < own ? size : 2 * size)),
    );
  } else metadata.u32('feed_forward_length', size);
  const perLayer = config.count('hidden_size_per_layer_input', 256);
  metadata.u32('embedding_length_per_layer_input', perLayer);
  const softcap = config.optionalReal('final_logit_softcapping');
  // GGUF's default is 30, transformers' none.
  metadata.f32('final_logit_softcapping', softcap ?? 0);
  return describeGemma4Rope(config, metadata, headDim, globalHeadDim);
}

/** Full layers rotate the first pairs of a head only: GGUF divides the angles of the others by 1e30. */
function describeGemma4Rope(
  config: Config,
  metadata: Metadata,
  headDim: number,
  globalHeadDim: number,
): readonly ComputedTensor[] {
  const both = config.nested('rope_parameters');
  const full = both?.nested('full_attention');
  const local = both?.nested('sliding_attention');
  if (!full || !local) {
    throw config.invalid('"rope_parameters": expected "full_attention" and "sliding_attention"');
  }
  full.expect('rope_type', ['proportional']);
  local.expect('rope_type', ['default']);
  const share = full.real('partial_rotary_factor', 1);
  const localShare = local.real('partial_rotary_factor', 1);
  if (!(share > 0 && share <= 1) || !(localShare > 0 && localShare <= 1)) {
    throw config.invalid('"partial_rotary_factor": expected a number up to 1');
  }
  metadata.f32('rope.freq_base', full.real('rope_theta', 1_000_000));
  metadata.f32('rope.freq_base_swa', local.real('rope_theta', 10_000));
  metadata.u32('rope.dimension_count', globalHeadDim);
  metadata.u32('rope.dimension_count_swa', Math.floor(headDim * localShare));
  const rotated = Math.floor((globalHeadDim * share) / 2);
  const values = Float32Array.from({ length: globalHeadDim / 2 }, (_, i) => (i < rotated ? 1 : 1e30));
  return [{ name: 'rope_freqs.weight', values }];
}
