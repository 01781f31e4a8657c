/** Decoders that normalise with LayerNorm: GPT-2, Falcon, code models, StableLM, Phi-2, Cohere's. */
import type { Config } from './config';
import { pickRows, transposed } from './conversions';
import { broken, type Conversion } from './described_tensor';
import { describeDecoder, expectLayerTypes, type Family, GELU_TANH, LLAMA_NAMES, SILU } from './family';
import { describeRope } from './rope';

export const starcoder2: Family = {
  architecture: 'starcoder2',
  activations: GELU_TANH,
  names: {
    ...LLAMA_NAMES,
    'model.layers.{l}.mlp.c_fc': 'blk.{l}.ffn_up',
    'model.layers.{l}.mlp.c_proj': 'blk.{l}.ffn_down',
  },
  describe(config, metadata) {
    config.expect('mlp_type', ['default']);
    config.expect('norm_type', ['layer_norm']);
    const defaults = { norm: 'layer', normEpsKey: 'norm_epsilon', normEps: 1e-5 } as const;
    return describeDecoder(config, metadata, defaults, config.optionalInteger('sliding_window'));
  },
};

export const cohere2: Family = {
  architecture: 'cohere2',
  activations: SILU,
  names: LLAMA_NAMES,
  describe(config, metadata) {
    config.expect('use_qk_norm', [false]);
    config.expect('sliding_window_pattern', [4]);
    expectLayerTypes(config, (layer) => layer % 4 !== 3);
    metadata.f32('logit_scale', config.real('logit_scale'));
    metadata.u32('attention.sliding_window', config.integer('sliding_window'));
    return describeDecoder(config, metadata, { norm: 'layer', normEpsKey: 'layer_norm_eps', normEps: 1e-5 });
  },
};

export const stablelm: Family = {
  architecture: 'stablelm',
  activations: SILU,
  names: {
    ...LLAMA_NAMES,
    // A norm for each head.
    'model.layers.{l}.self_attn.q_layernorm.norms.{e}': 'blk.{l}.attn_q_norm',
    'model.layers.{l}.self_attn.k_layernorm.norms.{e}': 'blk.{l}.attn_k_norm',
  },
  describe(config, metadata) {
    metadata.bool('use_parallel_residual', config.flag('use_parallel_residual', false));
    const rotated = { partialRotaryFactor: config.real('rope_pct', 0.25) };
    return describeDecoder(config, metadata, {
      norm: 'layer',
      normEpsKey: 'layer_norm_eps',
      normEps: 1e-5,
      ...rotated,
    });
  },
};

export const phi: Family = {
  architecture: 'phi2',
  activations: GELU_TANH,
  names: {
    ...LLAMA_NAMES,
    'model.final_layernorm': 'output_norm',
    'model.layers.{l}.self_attn.dense': 'blk.{l}.attn_output',
    'model.layers.{l}.mlp.fc1': 'blk.{l}.ffn_up',
    'model.layers.{l}.mlp.fc2': 'blk.{l}.ffn_down',
  },
  describe(config, metadata) {
    config.expect('qk_layernorm', [false]);
    const defaults = { norm: 'layer', normEpsKey: 'layer_norm_eps', normEps: 1e-5, partialRotaryFactor: 0.5 } as const;
    return describeDecoder(config, metadata, defaults);
  },
};

const GPT2_LAYER = 'transformer.h.{l}';

/** GPT-2 multiplies its matrices from the other side. */
export const gpt2: Family = {
  architecture: 'gpt2',
  activations: GELU_TANH,
  activationKey: 'activation_function',
  prefix: 'transformer.',
  names: {
    'transformer.wte': 'token_embd',
    'transformer.wpe': 'position_embd',
    'transformer.ln_f': 'output_norm',
    lm_head: 'output',
    [`${GPT2_LAYER}.ln_1`]: 'blk.{l}.attn_norm',
    [`${GPT2_LAYER}.ln_2`]: 'blk.{l}.ffn_norm',
    // Biases; the matrices are below.
    [`${GPT2_LAYER}.attn.c_attn`]: 'blk.{l}.attn_qkv',
    [`${GPT2_LAYER}.attn.c_proj`]: 'blk.{l}.attn_output',
    [`${GPT2_LAYER}.mlp.c_fc`]: 'blk.{l}.ffn_up',
    [`${GPT2_LAYER}.mlp.c_proj`]: 'blk.{l}.ffn_down',
  },
  conversions: {
    [`${GPT2_LAYER}.attn.c_attn.weight`]: transposed('blk.{l}.attn_qkv.weight'),
    [`${GPT2_LAYER}.attn.c_proj.weight`]: transposed('blk.{l}.attn_output.weight'),
    [`${GPT2_LAYER}.mlp.c_fc.weight`]: transposed('blk.{l}.ffn_up.weight'),
    [`${GPT2_LAYER}.mlp.c_proj.weight`]: transposed('blk.{l}.ffn_down.weight'),
  },
  // The causal mask, as a tensor.
  ignores: (name) => /^(?:transformer\.)?h\.\d+\.attn\.bias$/.test(name),
  describe(config, metadata) {
    config.expect('scale_attn_weights', [true]);
    config.expect('scale_attn_by_inverse_layer_idx', [false]);
    config.expect('add_cross_attention', [false]);
    const hidden = config.integer('n_embd');
    metadata.u32('block_count', config.integer('n_layer'));
    metadata.u32('context_length', config.integer('n_positions', config.optionalInteger('n_ctx')));
    metadata.u32('embedding_length', hidden);
    metadata.u32('feed_forward_length', config.integer('n_inner', 4 * hidden));
    metadata.u32('attention.head_count', config.integer('n_head'));
    metadata.f32('attention.layer_norm_epsilon', config.real('layer_norm_epsilon', 1e-5));
    return [];
  },
};

const FALCON_LAYER = 'transformer.h.{l}';

/** Heads of Falcon's three generations: groups of queries, each with one key and one value; one group; or a group for each head. */
function falconHeads(config: Config): { readonly heads: number; readonly groups: number } {
  const heads = config.optionalInteger('num_attention_heads') ?? config.integer('n_head');
  const groups = config.optionalInteger('num_kv_heads') ?? config.optionalInteger('n_head_kv') ?? heads;
  if (config.flag('new_decoder_architecture', config.has('n_head_kv'))) {
    if (heads % groups !== 0) throw config.invalid(`${heads} heads cannot be shared out among ${groups} keys`);
    return { heads, groups };
  }
  return { heads, groups: config.flag('multi_query', true) ? 1 : heads };
}

/** Rows of each group's queries, key and value → all queries, all keys, all values. */
const falconQkv: Conversion = (stored, { at, config }) => {
  const { heads, groups } = falconHeads(config);
  const rows = stored.shape[0] / (heads + 2 * groups);
  if (!Number.isSafeInteger(rows)) {
    throw broken(`tensor "${stored.name}" has shape [${stored.shape.join(', ')}], which ${heads} heads cannot share`);
  }
  const perGroup = heads / groups;
  const pieces = (from: number, count: number) =>
    Array.from({ length: groups }, (_, group) => [(group * (perGroup + 2) + from) * rows, count * rows] as const);
  const suffix = stored.name.endsWith('.bias') ? 'bias' : 'weight';
  const all = [...pieces(0, perGroup), ...pieces(perGroup, 1), ...pieces(perGroup + 1, 1)];
  return [pickRows(at(`blk.{l}.attn_qkv.${suffix}`), stored, all)];
};

export const falcon: Family = {
  architecture: 'falcon',
  activations: ['gelu'],
  activationKey: 'activation',
  prefix: 'transformer.',
  names: {
    'transformer.word_embeddings': 'token_embd',
    'transformer.ln_f': 'output_norm',
    lm_head: 'output',
    [`${FALCON_LAYER}.input_layernorm`]: 'blk.{l}.attn_norm',
    // The larger form: one norm for each branch.
    [`${FALCON_LAYER}.ln_mlp`]: 'blk.{l}.attn_norm',
    [`${FALCON_LAYER}.ln_attn`]: 'blk.{l}.attn_norm_2',
    [`${FALCON_LAYER}.self_attention.dense`]: 'blk.{l}.attn_output',
    [`${FALCON_LAYER}.mlp.dense_h_to_4h`]: 'blk.{l}.ffn_up',
    [`${FALCON_LAYER}.mlp.dense_4h_to_h`]: 'blk.{l}.ffn_down',
  },
  conversions: {
    [`${FALCON_LAYER}.self_attention.query_key_value.weight`]: falconQkv,
    [`${FALCON_LAYER}.self_attention.query_key_value.bias`]: falconQkv,
  },
  describe(config, metadata) {
    config.expect('alibi', [false]);
    config.expect('parallel_attn', [true]);
    const { heads, groups } = falconHeads(config);
    const hidden = config.integer('hidden_size');
    if (hidden % heads !== 0) throw config.invalid(`"hidden_size" ${hidden} is no multiple of ${heads} heads`);
    metadata.u32('block_count', config.optionalInteger('num_hidden_layers') ?? config.integer('n_layer'));
    metadata.u32('context_length', config.integer('max_position_embeddings', 2048));
    metadata.u32('embedding_length', hidden);
    metadata.u32('feed_forward_length', config.integer('ffn_hidden_size', 4 * hidden));
    metadata.u32('attention.head_count', heads);
    metadata.u32('attention.head_count_kv', groups);
    metadata.u32('attention.key_length', hidden / heads);
    metadata.u32('attention.value_length', hidden / heads);
    metadata.f32('attention.layer_norm_epsilon', config.real('layer_norm_epsilon', 1e-5));
    return describeRope(config, metadata, hidden / heads).tensors;
  },
};
