import type { StepFeature } from '../engine/step_features';

/**
 * The step buffer: the one small write per step. All u32 words; floats are stored by their bits.
 *
 * ```
 * [0, 16)            header
 * rowsOffset         4 words a row:       token, position, segment, reserved
 * segmentsOffset     8 words a segment:   slot, firstRow, rowCount, firstPosition, pagesOffset, length, firstSampledRow, sampledRows
 * samplingOffset    32 words a segment:   see SAMPLING
 * sampledOffset      2 words a sampled row: row, segment
 * tilesOffset        2 words an attention tile: segment, first row (of the step); rows of one tile belong to one segment
 * pages              the segments' block tables, one after another (segment.pagesOffset is a word index from the buffer's start), then, where
 *                    caches with a window have a pool of their own, their block tables in the same order (NO_PAGE as 0: it is never read)
 * masksOffset        1 word a sampled row: where its mask of allowed tokens begins, 0 for none; then the masks
 * dry penalties      of segments that have them: 2 words a sampled row, where its penalties begin and how many there are; then 2 words each, token, f32
 * proposals          of segments that have them: 2 words a sampled row, where its proposal begins and how many tokens it has (0 at the last row); then 2 words each, token, f32
 * guidanceOffset     2 words a segment:   1 + the sampled row that it is guided away from, or 0; the scale, f32
 * dolaOffset         4 words a segment:   bit l of these 128 says whether the segment contrasts layer l (DoLa)
 * ```
 *
 * `length` is firstPosition + rowCount: [0, length) is in the cache once the step's KV write has run. shaders/lib/step.wgsl mirrors this.
 */
export const STEP_HEADER_WORDS = 16;
export const ROW_WORDS = 4;
export const SEGMENT_WORDS = 8;
export const SAMPLING_WORDS = 32;
export const SAMPLED_WORDS = 2;
export const TILE_WORDS = 2;

/** Positions of the header's words. */
export const HEADER = {
  rows: 0,
  segments: 1,
  sampledRows: 2,
  tiles: 3,
  rowsOffset: 4,
  segmentsOffset: 5,
  samplingOffset: 6,
  sampledOffset: 7,
  tilesOffset: 8,
  /** Runs of a repeated step that are done: counted on the GPU (shaders/ops/advance.wgsl). */
  runs: 9,
  /** 0: no sampled row has a mask. */
  masksOffset: 10,
  /** From a segment's block table to that of caches with a window; 0: they share one. */
  slidingTables: 11,
  /** 0: no segment contrasts layers. */
  dolaOffset: 12,
  /** 0: no segment is guided. */
  guidanceOffset: 13,
  /** Tokens of a row of logits, and positions that a slot has a past token for: what samplers need. Read, so that one pipeline serves every model. */
  vocabSize: 14,
  contextLength: 15,
} as const;

export const SEGMENT = {
  slot: 0,
  firstRow: 1,
  rowCount: 2,
  firstPosition: 3,
  pagesOffset: 4,
  length: 5,
  firstSampledRow: 6,
  sampledRows: 7,
} as const;

/** Words of a sampling record; `f32` marks words that hold a float's bits. */
export const SAMPLING = {
  temperature: 0, // f32
  topK: 1,
  topP: 2, // f32
  minP: 3, // f32
  repetitionPenalty: 4, // f32
  frequencyPenalty: 5, // f32
  presencePenalty: 6, // f32
  seedLow: 7,
  seedHigh: 8,
  /** -1 as 0xffffffff: nothing to report */
  topLogprobs: 9,
  biasCount: 10,
  /** -1 as 0xffffffff: no window */
  repeatLastN: 11,
  /** 1: the row is the chain's (ops/sample/chain_op.ts), 0: the plain sampler's */
  chained: 12,
  /** How many stages there are, then their codes (CHAIN_CODES), four bits each from the lowest on, in two words. */
  stages: 13,
  stageCodes: 14,
  topNSigma: 16, // f32
  typicalP: 17, // f32
  xtcProbability: 18, // f32
  xtcThreshold: 19, // f32
  dynatempRange: 20, // f32
  dynatempExponent: 21, // f32
  /** 0, 1, 2 */
  mirostat: 22,
  mirostatTau: 23, // f32
  mirostatEta: 24, // f32
  /** Where the segment's penalties of DRY begin, a word index from the buffer's start; 0 for none */
  dryOffset: 25,
  /** 1: the samples are guesses for another model, and come with their probabilities */
  proposes: 26,
  /** Where what the segment's guesses were drawn from begins, a word index from the buffer's start; 0 for none */
  proposalsOffset: 27,
} as const;

/** Positions of a KV page: a K tile of attention lies in one page. */
export const PAGE_SIZE = 32;

/** Words of a mask of allowed tokens: bit t % 32 of word t / 32 is token t's. */
export function maskWords(vocabSize: number): number {
  return Math.ceil(vocabSize / 32);
}

export const GUIDANCE_WORDS = 2;
export const DOLA_WORDS = 4;
/** Layers that DoLa can choose from: [0, MAX_DOLA_LAYERS). */
export const MAX_DOLA_LAYERS = 32 * DOLA_WORDS;

/** How large a step is, as far as dispatch counts need to know. */
export interface StepShape {
  readonly rows: number;
  readonly segments: number;
  readonly sampledRows: number;
  readonly tiles: number;
  /** Largest `length` of the step's segments. */
  readonly maxLength: number;
  /** True when every sampled row is greedy with no penalty, bias or logprob: argmax is enough. */
  readonly greedy: boolean;
  /** Which optional calls of the plan run; absent: none. */
  readonly features?: readonly StepFeature[];
}
