/** Families in which most layers are recurrent: LFM2's short convolutions, the gated delta nets of Qwen3-Next and Qwen3.5. */
import type { Config } from './config';
import { computedVector, permuteColumns, permuteRows, pickRows, renamed } from './conversions';
import { broken, type Conversion, type DescribedTensor } from './described_tensor';
import { describeExperts, EXPERT_NAMES, SHARED_EXPERT_NAMES, STACKED_EXPERTS } from './expert_families';
import { describeDecoder, expectLayerTypes, type Family, LLAMA_NAMES, QK_NORM_NAMES, SILU } from './family';
import type { Metadata } from './metadata';
import { type ComputedTensor, ropeParameters } from './rope';

const LAYER = 'model.layers.{l}';

export const lfm2: Family = {
  architecture: 'lfm2',
  activations: SILU,
  names: {
    'model.embed_tokens': 'token_embd',
    'model.embedding_norm': 'token_embd_norm',
    lm_head: 'output',
    [`${LAYER}.operator_norm`]: 'blk.{l}.attn_norm',
    [`${LAYER}.ffn_norm`]: 'blk.{l}.ffn_norm',
    [`${LAYER}.self_attn.q_proj`]: 'blk.{l}.attn_q',
    [`${LAYER}.self_attn.k_proj`]: 'blk.{l}.attn_k',
    [`${LAYER}.self_attn.v_proj`]: 'blk.{l}.attn_v',
    [`${LAYER}.self_attn.out_proj`]: 'blk.{l}.attn_output',
    [`${LAYER}.self_attn.q_layernorm`]: 'blk.{l}.attn_q_norm',
    [`${LAYER}.self_attn.k_layernorm`]: 'blk.{l}.attn_k_norm',
    [`${LAYER}.conv.conv`]: 'blk.{l}.shortconv.conv',
    [`${LAYER}.conv.in_proj`]: 'blk.{l}.shortconv.in_proj',
    [`${LAYER}.conv.out_proj`]: 'blk.{l}.shortconv.out_proj',
    [`${LAYER}.feed_forward.w1`]: 'blk.{l}.ffn_gate',
    [`${LAYER}.feed_forward.w3`]: 'blk.{l}.ffn_up',
    [`${LAYER}.feed_forward.w2`]: 'blk.{l}.ffn_down',
  },
  describe(config, metadata) {
    config.expect('conv_bias', [false]);
    metadata.u32('shortconv.l_cache', config.integer('conv_L_cache', 3));
    const tensors = describeDecoder(config, metadata, {
      intermediateSize: config.optionalInteger('block_ff_dim'),
      contextLength: 128_000,
      normEpsKey: 'norm_eps',
      normEps: 1e-5,
      ropeTheta: config.real('theta', 1_000_000),
    });
    metadata.u32('feed_forward_length', lfm2FeedForward(config));
    const kvHeads = config.integer('num_key_value_heads');
    metadata.integers(
      'attention.head_count_kv',
      lfm2Attends(config).map((attends) => (attends ? kvHeads : 0)),
    );
    return tensors;
  },
};

/** Two thirds of the configured width, times a factor, rounded up: unless the configuration says that it means what it says. */
function lfm2FeedForward(config: Config): number {
  const configured = config.optionalInteger('block_ff_dim') ?? config.integer('intermediate_size');
  if (!config.flag('block_auto_adjust_ff_dim', true)) return configured;
  const scaled = Math.floor(config.real('block_ffn_dim_multiplier', 1) * Math.floor((2 * configured) / 3));
  const multiple = config.integer('block_multiple_of', 256);
  return multiple * Math.ceil(scaled / multiple);
}

/** Which layers have attention; the others convolve. */
function lfm2Attends(config: Config): boolean[] {
  const layers = config.integer('num_hidden_layers');
  const types = config.list('layer_types');
  const indices = config.list('full_attn_idxs');
  const attends = Array.from({ length: layers }, (_, layer) =>
    types ? types[layer] === 'full_attention' : (indices?.includes(layer) ?? true),
  );
  expectLayerTypes(config, (layer) => !attends[layer], 'conv');
  return attends;
}

interface DeltaHeads {
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
}

function deltaHeads(config: Config): DeltaHeads {
  const heads = {
    keyHeads: config.integer('linear_num_key_heads'),
    valueHeads: config.integer('linear_num_value_heads'),
    keyDim: config.integer('linear_key_head_dim'),
    valueDim: config.integer('linear_value_head_dim'),
  };
  if (heads.valueHeads % heads.keyHeads !== 0 || heads.valueHeads > MAX_HEADS) {
    throw config.invalid(`${heads.valueHeads} value heads cannot be shared out among ${heads.keyHeads} key heads`);
  }
  return heads;
}

/** More than any model has; bounds what is made for each. */
const MAX_HEADS = 4096;

/**
 * Stored, value heads stand beside those that share their key head; in Qwen3.5's GGUF files the first of every key head come first, then
 * the second ones. The stored head of each place there.
 */
function tiledHeads({ keyHeads, valueHeads }: DeltaHeads): number[] {
  const perKey = valueHeads / keyHeads;
  return Array.from({ length: valueHeads }, (_, i) => (i % keyHeads) * perKey + Math.floor(i / keyHeads));
}

const DELTA_NAMES: Readonly<Record<string, string>> = {
  ...LLAMA_NAMES,
  ...QK_NORM_NAMES,
  [`${LAYER}.post_attention_layernorm`]: 'blk.{l}.post_attention_norm',
  [`${LAYER}.linear_attn.norm`]: 'blk.{l}.ssm_norm',
};

/** In Qwen3-Next's order: a group for each key head. */
const GROUPED: Readonly<Record<string, Conversion>> = {
  [`${LAYER}.linear_attn.A_log`]: (stored, { at }) => [
    computedVector(at('blk.{l}.ssm_a'), stored, (values) => values.map((value) => -Math.exp(value))),
  ],
  [`${LAYER}.linear_attn.dt_bias`]: renamed('blk.{l}.ssm_dt.bias'),
  [`${LAYER}.linear_attn.in_proj_qkvz.weight`]: (stored, { at, config }) => {
    const heads = deltaHeads(config);
    const { keyHeads, keyDim } = heads;
    const values = (heads.valueHeads / keyHeads) * heads.valueDim;
    const group = 2 * (keyDim + values);
    const pieces = (from: number, count: number): (readonly [number, number])[] =>
      Array.from({ length: keyHeads }, (_, head) => [head * group + from, count] as const);
    const qkv = [...pieces(0, keyDim), ...pieces(keyDim, keyDim), ...pieces(2 * keyDim, values)];
    return [
      pickRows(at('blk.{l}.attn_qkv.weight'), stored, qkv),
      pickRows(at('blk.{l}.attn_gate.weight'), stored, pieces(2 * keyDim + values, values)),
    ];
  },
};

type Tile = (
  stored: Parameters<Conversion>[0],
  name: string,
  heads: DeltaHeads,
  order: readonly number[],
) => DescribedTensor;

function tiled(target: string, tile: Tile): Conversion {
  return (stored, { at, config }) => {
    const heads = deltaHeads(config);
    return [tile(stored, at(target), heads, tiledHeads(heads))];
  };
}

/** Rows of each value head behind the first `skipped` ones, as pieces. */
function headRows(order: readonly number[], rows: number, skipped = 0): (readonly [number, number])[] {
  const pieces = order.map((head) => [skipped + head * rows, rows] as const);
  return skipped > 0 ? [[0, skipped], ...pieces] : pieces;
}

const queriesAndKeys = ({ keyHeads, keyDim }: DeltaHeads): number => 2 * keyHeads * keyDim;

const TILED: Readonly<Record<string, Conversion>> = {
  [`${LAYER}.linear_attn.A_log`]: tiled('blk.{l}.ssm_a', (stored, name, _, order) => {
    if (stored.shape[0] !== order.length) {
      throw broken(`tensor "${stored.name}" has shape [${stored.shape.join(', ')}], expected [${order.length}]`);
    }
    return computedVector(name, stored, (values) => Float32Array.from(order, (head) => -Math.exp(values[head])));
  }),
  [`${LAYER}.linear_attn.dt_bias`]: tiled('blk.{l}.ssm_dt.bias', (stored, name, _, order) =>
    permuteRows(name, stored, order),
  ),
  [`${LAYER}.linear_attn.in_proj_a.weight`]: tiled('blk.{l}.ssm_alpha.weight', (stored, name, _, order) =>
    permuteRows(name, stored, order),
  ),
  [`${LAYER}.linear_attn.in_proj_b.weight`]: tiled('blk.{l}.ssm_beta.weight', (stored, name, _, order) =>
    permuteRows(name, stored, order),
  ),
  [`${LAYER}.linear_attn.in_proj_z.weight`]: tiled('blk.{l}.attn_gate.weight', (stored, name, heads, order) =>
    pickRows(name, stored, headRows(order, heads.valueDim)),
  ),
  [`${LAYER}.linear_attn.in_proj_qkv.weight`]: tiled('blk.{l}.attn_qkv.weight', (stored, name, heads, order) =>
    pickRows(name, stored, headRows(order, heads.valueDim, queriesAndKeys(heads))),
  ),
  [`${LAYER}.linear_attn.conv1d.weight`]: tiled('blk.{l}.ssm_conv1d.weight', (stored, name, heads, order) => {
    const rows = headRows(order, heads.valueDim, queriesAndKeys(heads));
    return permuteRows(
      name,
      stored,
      rows.flatMap(([from, count]) => Array.from({ length: count }, (_, i) => from + i)),
    );
  }),
  [`${LAYER}.linear_attn.out_proj.weight`]: tiled('blk.{l}.ssm_out.weight', (stored, name, _, order) =>
    permuteColumns(name, stored, order),
  ),
};

/** Heads that predict further tokens, and what sees images. */
const ignores = (name: string): boolean => /^(?:model\.)?mtp\./.test(name);

function describeDelta(config: Config, metadata: Metadata, intermediateSize?: number): readonly ComputedTensor[] {
  const interval = config.integer('full_attention_interval', 4);
  expectLayerTypes(config, (layer) => (layer + 1) % interval !== 0, 'linear_attention');
  config.expect('attn_output_gate', [true]);
  const heads = deltaHeads(config);
  metadata.u32('full_attention_interval', interval);
  metadata.u32('ssm.conv_kernel', config.integer('linear_conv_kernel_dim', 4));
  metadata.u32('ssm.state_size', heads.keyDim);
  metadata.u32('ssm.group_count', heads.keyHeads);
  metadata.u32('ssm.time_step_rank', heads.valueHeads);
  metadata.u32('ssm.inner_size', heads.valueHeads * heads.valueDim);
  return describeDecoder(config, metadata, {
    headDim: 256,
    contextLength: 32_768,
    normEps: 1e-6,
    partialRotaryFactor: 0.25,
    intermediateSize,
  });
}

function describeDeltaExperts(config: Config, metadata: Metadata): readonly ComputedTensor[] {
  config.expect('norm_topk_prob', [true]);
  const size = config.integer('moe_intermediate_size');
  describeExperts(config, metadata, config.integer('num_experts'), size);
  metadata.u32('expert_shared_feed_forward_length', config.integer('shared_expert_intermediate_size'));
  return describeDelta(config, metadata, size);
}

/** Positions of text are the same in all sections. */
function describeSections(config: Config, metadata: Metadata): void {
  const sections = ropeParameters(config)?.list('mrope_section') ?? [11, 11, 10];
  if (sections.length > 4 || !sections.every((size) => typeof size === 'number' && Number.isSafeInteger(size))) {
    throw config.invalid('"mrope_section": expected up to four integers');
  }
  metadata.integers(
    'rope.dimension_sections',
    [0, 1, 2, 3].map((i) => Number(sections[i] ?? 0)),
  );
}

export const qwen3Next: Family = {
  architecture: 'qwen3next',
  activations: SILU,
  normsPlusOne: true,
  ignores,
  names: {
    ...DELTA_NAMES,
    ...EXPERT_NAMES,
    ...SHARED_EXPERT_NAMES,
    [`${LAYER}.linear_attn.in_proj_ba`]: 'blk.{l}.ssm_ba',
    [`${LAYER}.linear_attn.conv1d`]: 'blk.{l}.ssm_conv1d',
    [`${LAYER}.linear_attn.out_proj`]: 'blk.{l}.ssm_out',
  },
  conversions: { ...GROUPED, ...STACKED_EXPERTS },
  describe: describeDeltaExperts,
};

export const qwen35: Family = {
  architecture: 'qwen35',
  activations: SILU,
  normsPlusOne: true,
  ignores,
  names: DELTA_NAMES,
  conversions: TILED,
  describe(config, metadata) {
    describeSections(config, metadata);
    return describeDelta(config, metadata);
  },
};

export const qwen35Moe: Family = {
  ...qwen35,
  architecture: 'qwen35moe',
  names: { ...DELTA_NAMES, ...EXPERT_NAMES, ...SHARED_EXPERT_NAMES },
  conversions: { ...TILED, ...STACKED_EXPERTS },
  describe(config, metadata) {
    describeSections(config, metadata);
    return describeDeltaExperts(config, metadata);
  },
};
