import type { Config } from './config';
import type { Conversion } from './described_tensor';
import type { Metadata } from './metadata';
import { type ComputedTensor, describeRope, ropeParameters } from './rope';

/** How one `model_type` of transformers becomes a GGUF architecture. */
export interface Family {
  /** `general.architecture`. */
  readonly architecture: string;
  /** Values of "hidden_act" (or "hidden_activation") that the architecture computes. */
  readonly activations: readonly string[];
  /**
   * Names without ".weight" and ".bias" → GGUF's; {l} is the layer, {e} the expert. Experts of one name are stacked into one tensor.
   */
  readonly names: Readonly<Record<string, string>>;
  /** GGUF's files of the family have pairs of RoPE side by side; the checkpoint has halves (see interleavedHeads). */
  readonly interleaved?: boolean;
  /** Norms are stored as offsets from 1 and GGUF adds it. */
  readonly normsPlusOne?: boolean;
  /** What stands before names in a checkpoint with a head, and not in one without; "model." otherwise. */
  readonly prefix?: string;
  /** Patterns of whole names (with ".weight") of tensors that are stored in a form of their own. */
  readonly conversions?: Readonly<Record<string, Conversion>>;
  /** The configuration's key of the activation function; "hidden_activation" or "hidden_act" otherwise. */
  readonly activationKey?: string;
  /** The `quant_method` that the family's conversions read. */
  readonly quantisation?: string;
  /** Has no output head, whatever the configuration says of it. */
  readonly headless?: boolean;
  /** Tensors that are not read: heads for other tasks, buffers that are computed. */
  ignores?(name: string, config: Config): boolean;
  /** The family that a configuration of this `model_type` stands for, where it says so itself. */
  variant?(config: Config): Family | undefined;
  /** Writes the hyperparameters; returns vectors that the architecture reads and a checkpoint does not hold. */
  describe(config: Config, metadata: Metadata): readonly ComputedTensor[];
}

/** Spellings of one activation. */
export const SILU: readonly string[] = ['silu', 'swish'];
export const GELU_TANH: readonly string[] = ['gelu_pytorch_tanh', 'gelu_new'];

/** What llama and everything that copied its layout call their tensors. */
export const LLAMA_NAMES: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
  'model.layers.{l}.input_layernorm': 'blk.{l}.attn_norm',
  'model.layers.{l}.self_attn.q_proj': 'blk.{l}.attn_q',
  'model.layers.{l}.self_attn.k_proj': 'blk.{l}.attn_k',
  'model.layers.{l}.self_attn.v_proj': 'blk.{l}.attn_v',
  'model.layers.{l}.self_attn.o_proj': 'blk.{l}.attn_output',
  'model.layers.{l}.post_attention_layernorm': 'blk.{l}.ffn_norm',
  'model.layers.{l}.mlp.gate_proj': 'blk.{l}.ffn_gate',
  'model.layers.{l}.mlp.up_proj': 'blk.{l}.ffn_up',
  'model.layers.{l}.mlp.down_proj': 'blk.{l}.ffn_down',
};

export const QK_NORM_NAMES: Readonly<Record<string, string>> = {
  'model.layers.{l}.self_attn.q_norm': 'blk.{l}.attn_q_norm',
  'model.layers.{l}.self_attn.k_norm': 'blk.{l}.attn_k_norm',
};

export interface DecoderDefaults {
  readonly numHeads?: number;
  readonly numKvHeads?: number;
  readonly headDim?: number;
  readonly contextLength?: number;
  readonly ropeTheta?: number;
  readonly normEps?: number;
  readonly intermediateSize?: number;
  /** The key of the norm's epsilon; "rms_norm_eps" otherwise. */
  readonly normEpsKey?: string;
  /** Which GGUF key it goes to. */
  readonly norm?: 'rms' | 'layer';
  /** Share of a head that is rotated. */
  readonly partialRotaryFactor?: number;
}

/** Larger than any model's; bounds what is computed from it. */
const MAX_HEAD_DIM = 4096;

/** Values of a head. */
export function headDimOf(config: Config, defaults: DecoderDefaults = {}): number {
  const heads = config.integer('num_attention_heads', defaults.numHeads);
  const found = config.optionalInteger('head_dim') ?? defaults.headDim ?? config.integer('hidden_size') / heads;
  if (!Number.isSafeInteger(found))
    throw config.invalid(`"hidden_size" is no multiple of "num_attention_heads" ${heads}`);
  if (found > MAX_HEAD_DIM) throw config.unsupported(`a head size of ${found} is not supported (${MAX_HEAD_DIM} is)`);
  return found;
}

/** The hyperparameters that every decoder has. `window`: positions beyond which the family's attention would need a sliding window. */
export function describeDecoder(
  config: Config,
  metadata: Metadata,
  defaults: DecoderDefaults = {},
  window = Number.POSITIVE_INFINITY,
): readonly ComputedTensor[] {
  const heads = config.integer('num_attention_heads', defaults.numHeads);
  const headDim = headDimOf(config, defaults);
  metadata.u32('block_count', config.integer('num_hidden_layers'));
  // Within its window, full attention is the same: the context is cut to where the two agree.
  metadata.u32('context_length', Math.min(window, config.integer('max_position_embeddings', defaults.contextLength)));
  metadata.u32('embedding_length', config.integer('hidden_size'));
  metadata.u32('feed_forward_length', config.integer('intermediate_size', defaults.intermediateSize));
  metadata.u32('attention.head_count', heads);
  metadata.u32('attention.head_count_kv', config.integer('num_key_value_heads', defaults.numKvHeads ?? heads));
  metadata.u32('attention.key_length', headDim);
  metadata.u32('attention.value_length', headDim);
  const eps = config.real(defaults.normEpsKey ?? 'rms_norm_eps', defaults.normEps);
  metadata.f32(`attention.layer_norm_${defaults.norm === 'layer' ? '' : 'rms_'}epsilon`, eps);
  const rotated = Math.floor(headDim * partialRotaryFactor(config, defaults.partialRotaryFactor));
  return describeRope(config, metadata, rotated, defaults.ropeTheta).tensors;
}

/** Share of a head that is rotated. */
function partialRotaryFactor(config: Config, fallback = 1): number {
  const key = 'partial_rotary_factor';
  const share = ropeParameters(config)?.optionalReal(key) ?? config.real(key, fallback);
  if (share <= 0 || share > 1) throw config.invalid(`"${key}" is ${share}, expected a number up to 1`);
  return share;
}

/**
 * Refuses layers of other kinds than the architecture has: `isOther(layer)` says which ones look through a window, or are of another kind
 * named `other`. Configurations say it by "layer_types", where they say it at all.
 */
export function expectLayerTypes(
  config: Config,
  isOther: (layer: number) => boolean,
  other = 'sliding_attention',
): void {
  const types = config.list('layer_types');
  const layers = config.integer('num_hidden_layers');
  if (types === undefined) return;
  if (types.length !== layers) throw config.invalid(`"layer_types" has ${types.length} items for ${layers} layers`);
  types.forEach((type, layer) => {
    const expected = isOther(layer) ? other : 'full_attention';
    if (type !== expected) {
      throw config.unsupported(`layer_types[${layer}] = ${JSON.stringify(type)} is not supported (${expected} is)`);
    }
  });
}
