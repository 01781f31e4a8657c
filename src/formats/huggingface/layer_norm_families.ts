/** Families that normalise with LayerNorm: code models, StableLM, Phi-2, Cohere's, and BERT. */
import { describeDecoder, expectLayerTypes, type Family, GELU_TANH, LLAMA_NAMES, SILU } from './family';

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

export const bert: Family = {
  architecture: 'bert',
  activations: ['gelu'],
  names: {
    'embeddings.word_embeddings': 'token_embd',
    'embeddings.position_embeddings': 'position_embd',
    'embeddings.token_type_embeddings': 'token_types',
    'embeddings.LayerNorm': 'token_embd_norm',
    'encoder.layer.{l}.attention.self.query': 'blk.{l}.attn_q',
    'encoder.layer.{l}.attention.self.key': 'blk.{l}.attn_k',
    'encoder.layer.{l}.attention.self.value': 'blk.{l}.attn_v',
    'encoder.layer.{l}.attention.output.dense': 'blk.{l}.attn_output',
    'encoder.layer.{l}.attention.output.LayerNorm': 'blk.{l}.attn_output_norm',
    'encoder.layer.{l}.intermediate.dense': 'blk.{l}.ffn_up',
    'encoder.layer.{l}.output.dense': 'blk.{l}.ffn_down',
    'encoder.layer.{l}.output.LayerNorm': 'blk.{l}.layer_output_norm',
  },
  ignored: /^(?:bert\.)?(?:pooler\.|embeddings\.position_ids$)|^cls\./,
  describe(config, metadata) {
    config.expect('position_embedding_type', ['absolute']);
    metadata.u32('block_count', config.integer('num_hidden_layers'));
    metadata.u32('context_length', config.integer('max_position_embeddings'));
    metadata.u32('embedding_length', config.integer('hidden_size'));
    metadata.u32('feed_forward_length', config.integer('intermediate_size'));
    metadata.u32('attention.head_count', config.integer('num_attention_heads'));
    metadata.f32('attention.layer_norm_epsilon', config.real('layer_norm_eps', 1e-12));
    metadata.bool('attention.causal', false);
    return [];
  },
};
