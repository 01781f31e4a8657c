/**
 * The one interface that the serving core knows of the machine below it: run a batch of rows. model/ implements it on WebGPU
 * and on the reference executor, worker/ plugs it in. Nothing here knows a tensor, a tokenizer or a GPU.
 */

import type { SamplingSettings } from './sampling_settings';
import type { StepFeature } from './step_features';

export {
  GREEDY,
  MAX_DRY_PENALTIES,
  MAX_LOGIT_BIAS,
  MAX_TOP_LOGPROBS,
  SAMPLERS,
  type SamplerName,
  type SamplingSettings,
} from './sampling_settings';

/** Stands for "the token that this slot sampled last": it is still on the GPU when the row is encoded. */
export const PENDING_TOKEN = 0xffffffff;

/** Layers whose K and V live equally long: those that see everything, and those that see a window. */
export type KvGroup = 'full' | 'sliding';

/** In a block table of sliding layers: positions that have left the window. */
export const NO_PAGE = -1;

export type DryPenalties = readonly (readonly [token: number, penalty: number])[];

/** What a guess was drawn from: every token that it could have been, with its probability, which add up to 1. At most MAX_TOP_LOGPROBS. */
export type Proposal = readonly (readonly [token: number, probability: number])[];

/** A run of consecutive rows of one sequence. Row i has token `tokens[i]` at position `position + i`. */
export interface Segment {
  /** Index of the GPU-resident per-sequence state (last token, penalty counts), 0 … limits.maxSlots - 1. */
  readonly slot: number;
  /** At least one; PENDING_TOKEN only as the single token of a one-row segment. */
  readonly tokens: readonly number[];
  /** Position of the first row; [0, position) is already in the cache. */
  readonly position: number;
  /** Block table: `pages[i]` is the physical page of positions [i·pageSize, (i+1)·pageSize); covers every row of the segment. */
  readonly pages: readonly number[];
  /**
   * The same for the layers that slide, where their pages are a pool of their own (limits.sliding): NO_PAGE where no row of this segment
   * or a later one looks any more.
   */
  readonly slidingPages?: readonly number[];
  /** Which rows get logits and a sample. `last` samples once, at the last row; `all` samples after every row (verification). */
  readonly sample: 'none' | 'last' | 'all';
  readonly sampling: SamplingSettings;
  /**
   * One per sampled row: bit t % 32 of word t / 32 says whether token t may be chosen, [ceil(vocabSize / 32)] words; undefined: any may.
   * The logits of the others count as -Infinity for whatever the sampler does, log-probabilities included. Not in a repeated batch.
   */
  readonly masks?: readonly (Uint32Array | undefined)[];
  /** What DRY subtracts from the logits of each sampled row, by token: of a row no token twice, at most MAX_DRY_PENALTIES. Not in a repeated batch. */
  readonly dryPenalties?: readonly DryPenalties[];
  /**
   * Layers whose predictions are contrasted with the last one's (Chuang et al. 2024, DoLa), each in [0, limits.earlyExits.numLayers): l
   * stands for what comes out of l layers. The logits of the sampled rows are the contrast's, log-probabilities included.
   */
  readonly dola?: readonly number[];
  /**
   * With `sample: 'all'`: what the tokens of the rows behind the first one were drawn from, one for each of them. They are guesses then that
   * rejection sampling decides about (Leviathan et al. 2023): the row before takes the guess over with probability min(1, p / q), and
   * otherwise samples what is left of p without q. Absent: every row samples from p, and a guess is right if it is that sample. Not in a
   * repeated batch.
   */
  readonly proposals?: readonly Proposal[];
  /**
   * The samples are guesses for another model, and come with what they were drawn from (`Sample.top`, probabilities): of what the settings
   * leave, the MAX_TOP_LOGPROBS likeliest tokens. Their draws are others than those of samples.
   */
  readonly proposes?: boolean;
  /** Also return the whole logit row of each sampled row: a slow path for scoring, never for decode. */
  readonly returnLogits?: boolean;
  /**
   * Moves the logits of the only sampled row away from those of the only sampled row of another segment of the batch, which is not
   * guided itself: log p' + scale · (log p - log p'), log-probabilities included.
   */
  readonly guidance?: { readonly slot: number; readonly scale: number };
  /** Also return what comes out of the last layer, normalised, of every row: [limits.hiddenSize] each. Not in a repeated batch. */
  readonly returnHidden?: boolean;
}

export interface Batch {
  readonly segments: readonly Segment[];
  /**
   * Runs the batch this often in one submit, 1 (default) … limits.maxRepeat: after the first time only the last row of each segment, each time one
   * position further, with the token that was sampled before. Above 1 every segment has `sample: 'last'`, its pages cover the last run, and no
   * logits are returned.
   */
  readonly repeat?: number;
}

export interface Sample {
  readonly token: number;
  /** Natural log of the token's probability under the model (softmax of the raw logits); NaN when not asked for. */
  readonly logprob: number;
  readonly top: readonly (readonly [token: number, logprob: number])[];
  /** The token of the segment's next row is this one: as a guess it is right. */
  readonly accepted?: boolean;
  /** No token has a chance: the logits are no numbers, or every token is banned. `token` means nothing. */
  readonly noChance?: boolean;
  /** Mirostat's limit of surprise for the token after this one, in bits. */
  readonly mu?: number;
}

export interface SegmentResult {
  /** One per sampled row, in row order; of a repeated batch one per run. */
  readonly samples: readonly Sample[];
  /** One per sampled row, each vocabSize (an encoder: embeddingSize) long, when `returnLogits` was set. */
  readonly logits?: readonly Float32Array[];
  /** One per row, when `returnHidden` was set. */
  readonly hidden?: readonly Float32Array[];
}

export interface StepResult {
  /** Parallel to batch.segments. */
  readonly segments: readonly SegmentResult[];
}

/** What a slot starts from. Resets its penalty counts and bias. */
export interface SlotInit {
  readonly sampling: SamplingSettings;
  /** Tokens of the prompt and of output so far, for the penalties of a sequence that starts or is resumed. */
  readonly promptTokens: readonly number[];
  readonly outputTokens: readonly number[];
  /** `Sample.mu` of the last output token; absent: there is none yet. */
  readonly mu?: number;
}

export interface RunnerLimits {
  readonly vocabSize: number;
  /**
   * Set when the model is an encoder: each sampled row gives a vector of this many elements, pooled over its segment, in place of
   * logits, and no token. A text must run in one step then.
   */
  readonly embeddingSize?: number;
  /** Longest context of one sequence, in positions. */
  readonly contextLength: number;
  /** Rows that one step may hold. */
  readonly maxRows: number;
  /** Rows of one step that may be sampled. */
  readonly maxSampledRows: number;
  readonly maxSlots: number;
  readonly pageSize: number;
  readonly numPages: number;
  /**
   * Set when layers that slide keep their pages in a pool of their own: no row sees further back than `window` positions, its own included.
   * Absent: `numPages` and `Segment.pages` are all layers'.
   */
  readonly sliding?: { readonly window: number; readonly numPages: number };
  /** True when layers keep a state that cannot be cut back or shared: a sequence then neither takes over pages nor gives them. */
  readonly recurrent?: boolean;
  /** Values of a row that `Segment.returnHidden` gives. Absent: it gives none. */
  readonly hiddenSize?: number;
  /** Where the model can predict from what comes out of its first layers (Segment.dola). Absent: it cannot. */
  readonly earlyExits?: { readonly numLayers: number; readonly tiedEmbeddings: boolean };
  /** Largest `Batch.repeat`; absent: 1. */
  readonly maxRepeat?: number;
}

/** Whole pages as bytes, for conversations that are saved. Reads and writes are ordered with the steps. */
export interface PageStore {
  /** Of one page of the group, its layers together. */
  pageBytes(group: KvGroup): number;
  /** Equal for runners that can exchange pages: of the same weights, and the same storage of the cache. */
  identity(): Promise<string>;
  /** [pages.length × pageBytes] */
  read(pages: readonly number[], group: KvGroup): Promise<Uint8Array>;
  /** The same of pages that may be given to others as soon as this has returned. */
  snapshot(pages: readonly number[], group: KvGroup): Promise<Uint8Array>;
  write(pages: readonly number[], bytes: Uint8Array, group: KvGroup): void;
}

export interface Runner {
  readonly limits: RunnerLimits;
  /** Absent where pages cannot be taken out. */
  readonly pages?: PageStore;
  /** Prepares a slot for a sequence; takes effect for steps that are run afterwards. */
  openSlot(slot: number, init: SlotInit): void;
  /**
   * Encodes and submits one step at once, without waiting for earlier ones; steps execute in the order of the calls.
   * The promise settles when the results have been read back. Rejects with DeviceLostError when the device goes.
   */
  run(batch: Batch): Promise<StepResult>;
  /**
   * Undefined when a batch of `rows` rows with these features can run now. Otherwise the first such batch has to wait for what this settles
   * with: pipelines are still being compiled. Rejects when that fails.
   */
  ready?(rows: number, features?: readonly StepFeature[]): Promise<void> | undefined;
  /** Bytes that a batch reads and writes in device memory, run once, by its kernels' own account; absent where nobody counts them. */
  traffic?(batch: Batch): number;
  /** Copies whole pages (`to` gets what `from` holds), ordered with the steps; for copy on write. */
  copyPages(pairs: readonly (readonly [from: number, to: number])[], group: KvGroup): void;
  dispose(): void;
}
