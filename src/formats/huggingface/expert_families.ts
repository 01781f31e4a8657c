/** Families with a mixture of experts in every layer. */
import type { Config } from './config';
import { renamed, splitRows } from './conversions';
import { alternatingBiases, fusedExperts, mxfp4Experts } from './expert_conversions';
import { describeDecoder, expectLayerTypes, type Family, LLAMA_NAMES, QK_NORM_NAMES, SILU } from './family';
import { describeQwen, granite, mistral, qwen2, qwen3 } from './llama_families';
import type { Metadata } from './metadata';
import { ropeParameters } from './rope';

export const mixtral: Family = {
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

/** Shared by what Qwen has published with experts. */
export const EXPERT_NAMES: Readonly<Record<string, string>> = {
  'model.layers.{l}.mlp.gate': 'blk.{l}.ffn_gate_inp',
  'model.layers.{l}.mlp.experts.{e}.gate_proj': 'blk.{l}.ffn_gate_exps',
  'model.layers.{l}.mlp.experts.{e}.up_proj': 'blk.{l}.ffn_up_exps',
  'model.layers.{l}.mlp.experts.{e}.down_proj': 'blk.{l}.ffn_down_exps',
};

export const SHARED_EXPERT_NAMES: Readonly<Record<string, string>> = {
  'model.layers.{l}.mlp.shared_expert_gate': 'blk.{l}.ffn_gate_inp_shexp',
  'model.layers.{l}.mlp.shared_expert.gate_proj': 'blk.{l}.ffn_gate_shexp',
  'model.layers.{l}.mlp.shared_expert.up_proj': 'blk.{l}.ffn_up_shexp',
  'model.layers.{l}.mlp.shared_expert.down_proj': 'blk.{l}.ffn_down_shexp',
};

/** All experts of a layer in two tensors, as transformers holds them since version 5. */
export const STACKED_EXPERTS: Family['conversions'] = {
  'model.layers.{l}.mlp.experts.gate_up_proj': splitRows('blk.{l}.ffn_gate_exps.weight', 'blk.{l}.ffn_up_exps.weight'),
  'model.layers.{l}.mlp.experts.down_proj': renamed('blk.{l}.ffn_down_exps.weight'),
};

export function describeExperts(config: Config, metadata: Metadata, numExperts: number, size: number): void {
  config.expect('decoder_sparse_step', [1]);
  if ((config.list('mlp_only_layers') ?? []).length > 0) {
    throw config.unsupported('"mlp_only_layers" is not supported (every layer has experts)');
  }
  metadata.u32('expert_count', numExperts);
  metadata.u32('expert_used_count', config.integer('num_experts_per_tok'));
  metadata.u32('expert_feed_forward_length', size);
}

export const qwen2moe: Family = {
  ...qwen2,
  architecture: 'qwen2moe',
  conversions: STACKED_EXPERTS,
  names: {
    ...LLAMA_NAMES,
    ...EXPERT_NAMES,
    ...SHARED_EXPERT_NAMES,
  },
  describe(config, metadata) {
    config.expect('norm_topk_prob', [false]);
    describeExperts(config, metadata, config.integer('num_experts'), config.integer('moe_intermediate_size'));
    metadata.u32('expert_shared_feed_forward_length', config.integer('shared_expert_intermediate_size'));
    return describeQwen(config, metadata);
  },
};

export const qwen3moe: Family = {
  ...qwen3,
  architecture: 'qwen3moe',
  conversions: STACKED_EXPERTS,
  names: { ...LLAMA_NAMES, ...QK_NORM_NAMES, ...EXPERT_NAMES },
  describe(config, metadata) {
    config.expect('norm_topk_prob', [true]);
    describeExperts(config, metadata, config.integer('num_experts'), config.integer('moe_intermediate_size'));
    return qwen3.describe(config, metadata);
  },
};

export const olmoe: Family = {
  ...qwen3moe,
  architecture: 'olmoe',
  describe(config, metadata) {
    config.expect('norm_topk_prob', [false]);
    config.expect('clip_qkv', []);
    describeExperts(config, metadata, config.integer('num_experts', 64), config.integer('intermediate_size'));
    return describeDecoder(config, metadata, { normEps: 1e-5 });
  },
};

const EXPERTS = 'model.layers.{l}.block_sparse_moe';
const SHARED = 'model.layers.{l}.shared_mlp';

/** Granite 3 with experts, and with a shared one ("granitemoeshared"). */
export const graniteMoe: Family = {
  ...granite,
  architecture: 'granitemoe',
  names: { ...LLAMA_NAMES, [`${EXPERTS}.router.layer`]: 'blk.{l}.ffn_gate_inp' },
  conversions: {
    [`${EXPERTS}.input_linear.weight`]: splitRows('blk.{l}.ffn_gate_exps.weight', 'blk.{l}.ffn_up_exps.weight'),
    [`${EXPERTS}.output_linear.weight`]: renamed('blk.{l}.ffn_down_exps.weight'),
    [`${SHARED}.input_linear.weight`]: splitRows('blk.{l}.ffn_gate_shexp.weight', 'blk.{l}.ffn_up_shexp.weight'),
    [`${SHARED}.output_linear.weight`]: renamed('blk.{l}.ffn_down_shexp.weight'),
  },
  describe(config, metadata) {
    metadata.u32('expert_count', config.integer('num_local_experts'));
    metadata.u32('expert_used_count', config.integer('num_experts_per_tok'));
    const shared = config.count('shared_intermediate_size');
    if (shared > 0) metadata.u32('expert_shared_feed_forward_length', shared);
    return granite.describe(config, metadata);
  },
};

/** Granite 4 without recurrent layers ("granitemoehybrid" too): dense, its network where the others have a shared expert. */
const graniteDense: Family = {
  ...granite,
  conversions: {
    [`${SHARED}.input_linear.weight`]: splitRows('blk.{l}.ffn_gate.weight', 'blk.{l}.ffn_up.weight'),
    [`${SHARED}.output_linear.weight`]: renamed('blk.{l}.ffn_down.weight'),
  },
  describe(config, metadata) {
    const tensors = granite.describe(config, metadata);
    metadata.u32('feed_forward_length', config.integer('shared_intermediate_size'));
    return tensors;
  },
};

export const graniteHybrid: Family = {
  ...graniteMoe,
  variant(config) {
    (config.list('layer_types') ?? [undefined]).forEach((type, layer) => {
      if (type === 'attention') return;
      throw config.unsupported(`layer_types[${layer}] = ${JSON.stringify(type)} is not supported (attention is)`);
    });
    config.expect('position_embedding_type', ['rope']);
    return config.count('num_local_experts') === 0 ? graniteDense : undefined;
  },
};

const GPT_OSS_EXPERTS = 'model.layers.{l}.mlp.experts';

/** gpt-oss: gate and up projection in alternating rows, experts in MXFP4 or, unpacked, transposed. */
export const gptOss: Family = {
  architecture: 'gpt-oss',
  activations: SILU,
  quantisation: 'mxfp4',
  names: {
    ...LLAMA_NAMES,
    'model.layers.{l}.post_attention_layernorm': 'blk.{l}.post_attention_norm',
    'model.layers.{l}.mlp.router': 'blk.{l}.ffn_gate_inp',
  },
  conversions: {
    'model.layers.{l}.self_attn.sinks': renamed('blk.{l}.attn_sinks.weight'),
    ...mxfp4Experts(`${GPT_OSS_EXPERTS}.gate_up_proj`, 'blk.{l}.ffn_gate_up_exps.weight', 'alternating'),
    ...mxfp4Experts(`${GPT_OSS_EXPERTS}.down_proj`, 'blk.{l}.ffn_down_exps.weight', 'plain'),
    [`${GPT_OSS_EXPERTS}.gate_up_proj`]: fusedExperts('blk.{l}.ffn_gate_up_exps.weight', 'alternating'),
    [`${GPT_OSS_EXPERTS}.down_proj`]: fusedExperts('blk.{l}.ffn_down_exps.weight', 'plain'),
    [`${GPT_OSS_EXPERTS}.gate_up_proj_bias`]: alternatingBiases('blk.{l}.ffn_gate_up_exps.bias'),
    [`${GPT_OSS_EXPERTS}.down_proj_bias`]: renamed('blk.{l}.ffn_down_exps.bias'),
  },
  describe(config, metadata) {
    config.expect('swiglu_limit', [7]);
    config.expect('swiglu_alpha', [1.702]);
    expectLayerTypes(config, (layer) => layer % 2 === 0);
    if (!ropeParameters(config)) throw config.invalid('"rope_scaling" is missing');
    metadata.u32('attention.sliding_window', config.integer('sliding_window', 128));
    metadata.u32('expert_count', config.integer('num_local_experts', config.optionalInteger('num_experts')));
    metadata.u32(
      'expert_used_count',
      config.integer('num_experts_per_tok', config.optionalInteger('experts_per_token')),
    );
    metadata.u32('expert_feed_forward_length', config.integer('intermediate_size'));
    return describeDecoder(config, metadata, { headDim: 64, ropeTheta: 150_000, normEps: 1e-5 });
  },
};
