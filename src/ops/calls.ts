/** The calls that a plan is made of. Shapes: `rows` is the step's row count unless said otherwise; all matrices are row-major. */
import type {
  ArgmaxCall,
  DolaContrastCall,
  DolaSelectCall,
  GuideLogitsCall,
  MaskLogitsCall,
  Optional,
  SampleCall,
  SampleChainCall,
} from './decoding_calls';
import type { Activation, KvCache, State, Vector, Weight } from './op';

/** out[r] = scale · table[token of row r] + positions[position of row r]; a PENDING_TOKEN row takes lastTokens[slot]. */
export interface EmbedCall {
  readonly op: 'embed';
  readonly table: Weight;
  readonly lastTokens: State;
  readonly out: Activation;
  readonly scale: number;
  /** Learned positions, [position][cols]: at least as many as the context is long; or one vector for all positions. */
  readonly positions?: Vector;
}

/** out = (x − mean(x)) / sqrt(var(x) + eps) · weight + bias, per row (Ba, Kiros & Hinton 2016). */
export interface LayerNormCall {
  readonly op: 'layer_norm';
  readonly x: Activation;
  readonly weight: Vector;
  readonly bias?: Vector;
  readonly out: Activation;
  readonly eps: number;
}

/**
 * out = scale · x / sqrt(mean(x²) + eps) · weight, per row (Zhang & Sennrich 2019), or per group of a row's columns where the weight is
 * shorter than a row and repeats.
 */
export interface RmsNormCall {
  readonly op: 'rms_norm';
  readonly x: Activation;
  readonly weight: Vector;
  readonly out: Activation;
  readonly eps: number;
  /** The result is added to what out holds: a norm after a branch, on its way into the residual stream. */
  readonly accumulate?: boolean;
  /** Default 1. */
  readonly scale?: number;
  /** One value that multiplies the sum, last of all. */
  readonly outScale?: Vector;
}

/**
 * y = scale·(W·n(x) + bias), then the epilogue; y is written to columns [outColumn, outColumn + W.rows) of out (gated units: W.rows / 2
 * columns). n is the RMS norm of x with `norm`, or the identity. With `accumulate` y is added to what out holds (the residual stream).
 * When out has rows 'sampled' and x has rows 'step', row i of out comes from the step's i-th sampled row.
 */
export interface LinearCall {
  readonly op: 'linear';
  readonly x: Activation;
  readonly weight: Weight;
  readonly out: Activation;
  readonly outColumn: number;
  readonly norm?: { readonly weight: Vector; readonly eps: number };
  readonly bias?: Vector;
  readonly accumulate: boolean;
  /**
   * Gated units (Shazeer 2020): W is [gate; up] by rows, out column j = act(gate_j) · up_j, with SiLU for swiglu and GELU (its tanh
   * approximation) for geglu. Not together with bias, accumulate, scale or softcap.
   */
  readonly epilogue: 'none' | 'swiglu' | 'geglu';
  /** Absent: 1. */
  readonly scale?: number;
  /** y = softcap·tanh(y / softcap), last of all; positive. Not together with accumulate. Absent: none. */
  readonly softcap?: number;
}

/** A norm of queries and keys: of each head, or of all heads of Q and all of K at once. */
export interface QkNorm {
  readonly kind: 'rms' | 'layer';
  readonly per: 'head' | 'projection';
  /** Q's weights, then K's: one value for every dimension, or (per head only) headDim values that all heads share. */
  readonly weight: Vector;
  readonly eps: number;
  /** V heads are normalised too, by an RMS norm without weights. */
  readonly values?: boolean;
}

/**
 * Norm of Q and K where there is one, then the rotary embedding (Su et al. 2021), and the cache write of K and V.
 * qkv is [rows, (numHeads + 2·numKvHeads)·headDim]: all Q heads, then K heads, then V heads. q gets the rotated queries.
 * `table` holds cos and sin of two-level angles so that no kernel computes a sine: see ops/rope_table.ts.
 */
export interface RopeKvCall {
  readonly op: 'rope_kv';
  readonly qkv: Activation;
  readonly q: Activation;
  readonly cache: KvCache;
  readonly numHeads: number;
  /** qkv has Q heads alone, [rows, numHeads·headDim], and the cache is another layer's: it is not written. */
  readonly queriesOnly?: boolean;
  readonly norm?: QkNorm;
  /** Left out where nothing rotates. */
  readonly table?: Vector;
  /** Leading dimensions of each head that rotate; even, ≤ headDim; 0: none. */
  readonly ropeDims: number;
  /** Pairs (2i, 2i+1), or (i, i + ropeDims/2). */
  readonly pairing: 'interleaved' | 'halves';
}

/**
 * out = softmax(cap(scale · q·Kᵀ) over what the row sees) · V with the pages of the row's segment.
 * q and out are [rows, numHeads·headDim]; query head h reads KV head floor(h · numKvHeads / numHeads).
 */
export interface AttentionCall {
  readonly op: 'attention';
  readonly q: Activation;
  readonly cache: KvCache;
  readonly out: Activation;
  readonly numHeads: number;
  readonly scale: number;
  /**
   * Position q sees k: causal (the default) k ≤ q; full: every position of the segment, those that come with the same step included, so
   * that a sequence must be computed in one step.
   */
  readonly mask?: 'causal' | 'full';
  /** And of those only q - k < window (causal), |q - k| ≤ window / 2 (full). */
  readonly window?: number;
  /** cap(s) = softcap · tanh(s / softcap) (Bello et al. 2016); absent: the identity. */
  readonly softcap?: number;
  /** One logit per query head that joins the softmax's sum and has no value (attention sinks, Xiao et al. 2023, as gpt-oss learns them). */
  readonly sinks?: Vector;
}

/**
 * out[r, j] = act(x[r, j]) · x[r, cols + j] with x [rows, 2·cols], or act(x[r, j]) · up[r, column + j] with x [rows, cols]; gelu is the
 * tanh form, as ggml's is (Shazeer 2020).
 */
export interface GluCall {
  readonly op: 'glu';
  readonly x: Activation;
  readonly up?: { readonly tensor: Activation; readonly column: number };
  readonly out: Activation;
  readonly activation: 'silu' | 'gelu';
}

/** gelu: x/2 · (1 + tanh(√(2/π)·(x + 0.044715·x³))) (Hendrycks & Gimpel 2016); silu: x·σ(x); relu2: max(x, 0)² (So et al. 2021). */
export type ActivationFunction = 'gelu' | 'silu' | 'relu2';

/** out = f(x), element by element. */
export interface ActivationCall {
  readonly op: 'activation';
  readonly x: Activation;
  readonly out: Activation;
  readonly kind: ActivationFunction;
}

/**
 * A causal convolution of each channel over the rows of a sequence: c[t] = Σ_k weight[channel, k] · u[t − width + 1 + k], with what came before
 * this step's rows in `state` (zeros where the sequence begins). `gated` (Liquid AI 2025): the first 3·channels columns of x are B, C and X, u = B·X, and
 * out = C·c. `silu` (Gu & Dao 2023): u is the first columns of x, out = silu(c).
 */
export interface ShortConvCall {
  readonly op: 'short_conv';
  readonly x: Activation;
  /** [channels][width] */
  readonly weight: Vector;
  readonly width: number;
  /** f32 [maxSlots][width − 1][channels]: the newest inputs of each slot's sequence, oldest first. */
  readonly state: State;
  readonly out: Activation;
  readonly kind: 'gated' | 'silu';
}

/**
 * Gated delta rule (Yang, Kautz & Hatamizadeh 2024), row by row of a sequence. For each value head, with the L2-normalised q and k of its key head,
 * S ← e^g·S, S ← S + k·(β·(v − Sᵀk))ᵀ, o = Sᵀq / √keyDim; g = a·softplus(alpha + dtBias), β = σ(beta).
 * out = o / rms(o) · norm · silu(z), per head.
 */
export interface DeltaNetCall {
  readonly op: 'delta_net';
  /** [rows, 2·keyHeads·keyDim + valueHeads·valueDim]: q, k, v. */
  readonly qkv: Activation;
  /**
   * Its last columns are z [valueHeads·valueDim], then beta [valueHeads] and alpha [valueHeads]; with grouped heads the betas and alphas of
   * each key head's value heads in turn.
   */
  readonly gates: Activation;
  /** a [valueHeads], dtBias [valueHeads], norm [valueDim]. */
  readonly parameters: Vector;
  readonly eps: number;
  readonly keyHeads: number;
  readonly valueHeads: number;
  readonly keyDim: number;
  readonly valueDim: number;
  /** Which key head a value head h reads: h mod keyHeads, or ⌊h·keyHeads / valueHeads⌋. */
  readonly heads: 'tiled' | 'grouped';
  /** f32 [maxSlots][valueHeads][keyDim][valueDim] */
  readonly state: State;
  readonly out: Activation;
}

/**
 * x is [rows, numHeads·2·headDim]: of each head the query, then its gate. `take`: out's first columns become the queries.
 * `apply`: out = input · σ(gate).
 */
export interface HeadGateCall {
  readonly op: 'head_gate';
  readonly x: Activation;
  readonly headDim: number;
  readonly numHeads: number;
  readonly out: Activation;
  /** Absent: take. */
  readonly input?: Activation;
}

/** Sampled row i of out: the mean, the first or the last of the rows that the segment of the step's i-th sampled row has in this step. */
export interface PoolCall {
  readonly op: 'pool';
  readonly x: Activation;
  readonly out: Activation;
  /** `row`: the sampled row itself. */
  readonly kind: 'mean' | 'first' | 'last' | 'row';
}

/**
 * Chooses topK of `experts` experts for each row by its router logits, columns [0, experts); ties go to the lowest index. out is
 * [rows, 2·topK]: the experts' indices, best first, then their weights.
 */
export interface RouteCall {
  readonly op: 'route';
  readonly logits: Activation;
  readonly experts: number;
  readonly out: Activation;
  /** What an expert's weight is before normalisation: softmax over all experts, or the logistic function of its own logit. */
  readonly scoring: 'softmax' | 'sigmoid';
  /** Divides the chosen weights by their sum; with softmax that is the softmax over the chosen logits. */
  readonly normalise: boolean;
  /** The weights are multiplied by it. */
  readonly scale: number;
  /** [experts]: last of all, each expert's weight is multiplied by its own. */
  readonly expertScale?: Vector;
}

/** Lists the pairs (row, slot) of a step by expert: layout in ops/experts/groups.ts. */
export interface GroupExpertsCall {
  readonly op: 'group_experts';
  readonly routing: Activation;
  readonly experts: number;
  readonly groups: ExpertGroups;
}

/** The work list of the grouped kernel: tiles of at most tileRows pairs of one expert; the pairs begin at word pairsAt. */
export interface ExpertGroups {
  readonly state: State;
  readonly tileRows: 32 | 64;
  readonly pairsAt: number;
}

/**
 * y_s = W_e·n(x) + bias_e for each slot s of a row, e the slot's expert; then the epilogue. W is [experts·outs, cols], an expert's rows
 * together; only the chosen experts' are read. x is [rows, cols], the same for every slot, or [rows, topK·cols], slot by slot.
 * y_s is written to columns [outColumn + s·width, …) of out; with `combine`, out = Σ_s weight_s·y_s, slots in order.
 */
export interface ExpertLinearCall {
  readonly op: 'expert_linear';
  readonly x: Activation;
  readonly weight: Weight;
  readonly experts: number;
  /** What RouteCall writes. */
  readonly routing: Activation;
  /** What GroupExpertsCall writes; steps of more than 16 rows need it. */
  readonly groups?: ExpertGroups;
  /** RMS norm of x; only without `groups`. */
  readonly norm?: { readonly weight: Vector; readonly eps: number };
  /** [experts·outs], an expert's together. */
  readonly bias?: Vector;
  readonly out: Activation;
  readonly outColumn: number;
  /** Only without `groups`: large steps sum by ExpertSumCall. */
  readonly combine: boolean;
  /** Adds to what out holds; only with combine. */
  readonly accumulate: boolean;
  /**
   * An expert's rows are [gate; up]. swiglu: silu(gate)·up; geglu: gelu(gate)·up. swiglu_clamped, gpt-oss: g = min(gate, 7), g·sigmoid(1.702·g)·(clamp(up, ±7) + 1).
   */
  readonly epilogue: 'none' | 'swiglu' | 'swiglu_clamped' | 'geglu';
}

/** out (+)= Σ_s weight_s · x[r, s·cols + j] over the topK slots of a row, in order. x is [rows, topK·cols]. */
export interface ExpertSumCall {
  readonly op: 'expert_sum';
  readonly x: Activation;
  readonly routing: Activation;
  readonly out: Activation;
  readonly accumulate: boolean;
}

/** out[r, j] *= sigmoid(logits[r, column]): the gate of a shared expert. */
export interface GateRowsCall {
  readonly op: 'gate_rows';
  readonly out: Activation;
  readonly logits: Activation;
  readonly column: number;
}

type AnyCall =
  | EmbedCall
  | RmsNormCall
  | LayerNormCall
  | LinearCall
  | RopeKvCall
  | AttentionCall
  | ActivationCall
  | PoolCall
  | ShortConvCall
  | DeltaNetCall
  | HeadGateCall
  | GluCall
  | RouteCall
  | GroupExpertsCall
  | ExpertLinearCall
  | ExpertSumCall
  | GateRowsCall
  | MaskLogitsCall
  | DolaSelectCall
  | DolaContrastCall
  | GuideLogitsCall
  | ArgmaxCall
  | SampleCall
  | SampleChainCall;

export type OpCall = AnyCall & Optional;
