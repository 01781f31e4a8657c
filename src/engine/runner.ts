/**
 * The one interface that the serving core knows of the machine below it: run a batch of rows. model/ implements it on WebGPU
 * and on the reference executor, worker/ plugs it in. Nothing here knows a tensor, a tokenizer or a GPU.
 */

import type { StepFeature } from './step_features';

/** Stands for "the token that this slot sampled last": it is still on the GPU when the row is encoded. */
export const PENDING_TOKEN = 0xffffffff;

/**
 * What the sampler chain is made of, in llama.cpp's spelling and order. Each looks at what the ones before it left: penalties and dry lower
 * logits, temperature divides them, the others drop tokens.
 */
export const SAMPLERS = [
  'penalties',
  'dry',
  'top_n_sigma',
  'top_k',
  'typ_p',
  'top_p',
  'min_p',
  'xtc',
  'temperature',
] as const;

export type SamplerName = (typeof SAMPLERS)[number];

/** How the next token is chosen. Defaults mean "off": temperature 0 is greedy. Order of application: `samplers`. */
export interface SamplingSettings {
  /** > 1 discourages tokens of prompt and output (Keskar et al. 2019, CTRL); 1 is off. */
  readonly repetitionPenalty: number;
  /** Subtracted once per occurrence in the output (OpenAI's definition); 0 is off. */
  readonly frequencyPenalty: number;
  /** Subtracted when the token has occurred in the output; 0 is off. */
  readonly presencePenalty: number;
  /** The penalties look at the last so many tokens of prompt and output; -1: at all, 0: at none. */
  readonly repeatLastN: number;
  /**
   * DRY (p-e-w 2024): a token that would go on with a repetition of n tokens loses multiplier · base^(n - allowedLength); 0 is off. Which tokens
   * these are is found on the host, for which each token must have been read back before the next is computed.
   */
  readonly dryMultiplier: number;
  readonly dryBase: number;
  /** Repetitions shorter than this are free. */
  readonly dryAllowedLength: number;
  /** How far back repetitions are looked for, in tokens of prompt and output; -1: all, 0: off. */
  readonly dryPenaltyLastN: number;
  /** No repetition goes past these strings; their tokens are `GenerateRequest.dryBreakers`. */
  readonly drySequenceBreakers: readonly string[];
  /** Added to the logit of a token, before all samplers but penalties that come first; -Infinity bans it. At most MAX_LOGIT_BIAS entries. */
  readonly logitBias: readonly (readonly [token: number, bias: number])[];
  /** 0 is greedy; otherwise logits are divided by it. */
  readonly temperature: number;
  /** The temperature becomes one of [temperature - range, temperature + range], the higher the flatter the distribution is; 0 is off. */
  readonly dynatempRange: number;
  /** Of the entropy, as a share of its maximum, which says where in that range. */
  readonly dynatempExponent: number;
  /** Keep tokens whose logit is at most this many standard deviations of the logits below the best (Tang et al. 2024); 0 is off. */
  readonly topNSigma: number;
  /** Keep the k most likely; 0 is off. */
  readonly topK: number;
  /** Keep the smallest set of most likely tokens whose probability reaches p; 1 is off. */
  readonly topP: number;
  /** Keep tokens at least `minP` times as likely as the best; 0 is off. */
  readonly minP: number;
  /** Keep the tokens whose surprise is nearest to the entropy, until their probability reaches this (Meister et al. 2023); 1 is off. */
  readonly typicalP: number;
  /** How often the tokens above `xtcThreshold` are dropped, all but the least likely of them (XTC, p-e-w 2024); 0 is off. */
  readonly xtcProbability: number;
  /** A probability; above 0.5 there are never two of them. */
  readonly xtcThreshold: number;
  /**
   * Mirostat (Basu et al. 2021) chooses, in place of samplers that drop tokens, how many to keep, so that the surprise of what it chooses
   * stays near `mirostatTau` bits; 0 is off, 1 and 2 are its versions.
   */
  readonly mirostat: number;
  readonly mirostatTau: number;
  /** How fast it learns. */
  readonly mirostatEta: number;
  /** Which samplers there are, in order of application. */
  readonly samplers: readonly SamplerName[];
  /** Seeds a counter-based generator: the draw at a position depends on (seed, position) alone. */
  readonly seed: number;
  /** How many of the likeliest tokens to report with their log-probability, 0 … MAX_TOP_LOGPROBS; -1: not even the chosen one's. */
  readonly topLogprobs: number;
}

export const MAX_TOP_LOGPROBS = 20;
export const MAX_LOGIT_BIAS = 1024;
export const MAX_DRY_PENALTIES = 1024;

export const GREEDY: SamplingSettings = {
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repeatLastN: -1,
  dryMultiplier: 0,
  dryBase: 1.75,
  dryAllowedLength: 2,
  dryPenaltyLastN: -1,
  drySequenceBreakers: ['\n', ':', '"', '*'],
  logitBias: [],
  temperature: 0,
  dynatempRange: 0,
  dynatempExponent: 1,
  topNSigma: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  typicalP: 1,
  xtcProbability: 0,
  xtcThreshold: 0.1,
  mirostat: 0,
  mirostatTau: 5,
  mirostatEta: 0.1,
  samplers: SAMPLERS,
  seed: 0,
  topLogprobs: -1,
};

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
  /** Which rows get logits and a sample. `last` samples once, at the last row; `all` samples after every row (verification). */
  readonly sample: 'none' | 'last' | 'all';
  readonly sampling: SamplingSettings;
  /**
   * One per sampled row: bit t % 32 of word t / 32 says whether token t may be chosen, [ceil(vocabSize / 32)] words; undefined: any may.
   * The logits of the others count as -Infinity for whatever the sampler does, log-probabilities included. Not in a repeated batch.
   */
  readonly masks?: readonly (Uint32Array | undefined)[];
  /** What DRY subtracts from the logits of the only sampled row, by token; no token twice, at most MAX_DRY_PENALTIES. */
  readonly dryPenalties?: readonly (readonly [token: number, penalty: number])[];
  /** Also return the whole logit row of each sampled row: a slow path for scoring, never for decode. */
  readonly returnLogits?: boolean;
}

export interface Batch {
  readonly segments: readonly Segment[];
  /**
   * Runs the batch this often in one submit, 1 (default) … limits.maxRepeat: each time one position further, with the token that was
   * sampled before. Above 1 every segment is one row with `sample: 'last'`, its pages cover the last run, and no logits are returned.
   */
  readonly repeat?: number;
}

export interface Sample {
  readonly token: number;
  /** Natural log of the token's probability under the model (softmax of the raw logits); NaN when not asked for. */
  readonly logprob: number;
  readonly top: readonly (readonly [token: number, logprob: number])[];
  /** Mirostat's limit of surprise for the token after this one, in bits. */
  readonly mu?: number;
}

export interface SegmentResult {
  /** One per sampled row, in row order; of a repeated batch one per run. */
  readonly samples: readonly Sample[];
  /** One per sampled row, each vocabSize (an encoder: embeddingSize) long, when `returnLogits` was set. */
  readonly logits?: readonly Float32Array[];
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
  /** True when layers keep a state that cannot be cut back or shared: a sequence then neither takes over pages nor gives them. */
  readonly recurrent?: boolean;
  /** Largest `Batch.repeat`; absent: 1. */
  readonly maxRepeat?: number;
}

/** Whole pages as bytes, for conversations that are saved. Reads and writes are ordered with the steps. */
export interface PageStore {
  /** Of one page, all layers together. */
  readonly pageBytes: number;
  /** Equal for runners that can exchange pages: of the same weights, and the same storage of the cache. */
  identity(): Promise<string>;
  /** [pages.length × pageBytes] */
  read(pages: readonly number[]): Promise<Uint8Array>;
  write(pages: readonly number[], bytes: Uint8Array): void;
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
  /** Copies whole pages (`to` gets what `from` holds), ordered with the steps; for copy on write. */
  copyPages(pairs: readonly (readonly [from: number, to: number])[]): void;
  dispose(): void;
}
