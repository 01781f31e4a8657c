import type { SamplingSettings, Segment, SegmentResult } from './runner';
import { PENDING_TOKEN } from './runner';

export type SequenceState =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'running'; readonly slot: number }
  | { readonly kind: 'finished' };

/** Rows [position, position + count) of one sequence. */
export interface RowRange {
  readonly position: number;
  readonly count: number;
  readonly sample: Segment['sample'];
  /** The rows are runs of a repeated batch: each takes the token that the one before it sampled. */
  readonly repeated?: boolean;
  /** The rows after the first are guesses, which the samples before them confirm or refute. */
  readonly drafted?: boolean;
}

/** Requests that one step of priority passes. */
const PRIORITY_HEAD_START = 16;

/** Whether `a` goes before `b`: a total order. */
export function precedes(a: Sequence, b: Sequence): boolean {
  return a.rank === b.rank ? a.id < b.id : a.rank < b.rank;
}

/**
 * Whether `other`, which runs, gives way to `sequence`, which waits: its reader does not read, or it waits for its group and the other is of
 * that group or before it (or the group might wait for one that is behind the other).
 */
export function canYield(other: Sequence, sequence: Sequence): boolean {
  if (other.parks) return true;
  return other.paused && other.group !== undefined && (other.group === sequence.group || precedes(sequence, other));
}

/** How many samples rows give. */
export function samplesOf({ count, sample }: RowRange): number {
  return sample === 'all' ? count : sample === 'last' ? 1 : 0;
}

/**
 * Tokens that are computed together, position by position. Subclasses say which rows come next and what their results are for.
 *
 * Each row that is sampled stands for the token after it. While that sample is in flight the sequence is already one position
 * longer; the token there is PENDING_TOKEN, which the runner finds in the slot.
 */
export abstract class Sequence {
  /** The prompt, then the output as far as it has been read back. */
  readonly tokens: number[];
  /** Of `tokens`, those of the prompt. */
  promptLength: number;
  state: SequenceState = { kind: 'waiting' };
  /** [0, computed) is in the cache for every step that is submitted from now on: steps execute in order. */
  computed = 0;
  /** Steps and samples that were submitted and have not settled. */
  stepsInFlight = 0;
  samplesInFlight = 0;
  /** Positions that were in the cache already when the sequence started first: undefined until then. */
  cachedTokens: number | undefined;
  /** `Sample.mu` of the last token. */
  mu: number | undefined;
  /** Called once, when the sequence has ended for whatever reason. */
  onEnd: (() => void) | undefined;

  abstract readonly sampling: SamplingSettings;
  abstract readonly returnLogits: boolean;
  /** See Segment.dola. */
  readonly dola: readonly number[] | undefined = undefined;
  /** See Segment.guidance: `leader` is asked for rows right before this one, and this one is sampled only in steps where that is too. */
  readonly guidance: { readonly leader: Sequence; readonly scale: number } | undefined = undefined;
  /** See Segment.returnHidden. */
  get returnHidden(): boolean {
    return false;
  }
  /** True when positions that others have computed need not be computed again. */
  abstract readonly sharesPrefix: boolean;
  /** Sequences with the same group wait for each other: while one has to, others that are there already give their pages to it. */
  readonly group: object | undefined = undefined;
  /** Higher is served sooner: each step of it counts as having arrived PRIORITY_HEAD_START requests earlier, so nobody starves. */
  readonly priority: number = 0;

  /** `id` is unique and grows with arrival. `parent`: a sequence whose tokens begin with this prompt, to share pages with. */
  protected constructor(
    readonly id: number,
    promptTokens: readonly number[],
    public parent?: Sequence,
  ) {
    this.tokens = [...promptTokens];
    this.promptLength = promptTokens.length;
  }

  /** Its place in the order of arrival. A group has one place: whoever came between two of it would wait for the one and hold up the other. */
  protected get place(): number {
    return this.id;
  }

  /** Who is served first: whose number is smaller. */
  get rank(): number {
    return this.place - this.priority * PRIORITY_HEAD_START;
  }

  get finished(): boolean {
    return this.state.kind === 'finished';
  }

  /** Rows that could be computed now if there were no limit: 1 when only the newest token is missing, known or pending. */
  get backlog(): number {
    return Math.max(1, this.tokens.length - this.computed);
  }

  /** Positions that the cache will hold at the very end. */
  abstract get maxPositions(): number;

  /** True while nobody wants more results; what is computed stays, but may be taken by others. */
  abstract get paused(): boolean;

  /** Its newest token has no position any more: it waits to be shortened, with no step in flight. */
  get overflows(): boolean {
    return false;
  }

  /** True while it is paused for as long as a reader pleases, and not just until others of its group have caught up. */
  get parks(): boolean {
    return this.paused;
  }

  /**
   * The rows to compute next, or undefined: done, paused, or nothing fits into this many rows and sampled rows. Rows beyond `maxExactRows`
   * in a step may round differently: guesses are not worth that.
   */
  abstract nextRows(maxRows: number, maxSampledRows: number, maxExactRows?: number): RowRange | undefined;

  /** Something outside of the steps is under way, after which the sequence goes on. */
  get expectsWake(): boolean {
    return false;
  }

  /** Its next rows depend on samples that are in flight, and it is ready to go on once they are there. */
  get awaitsSample(): boolean {
    return false;
  }

  /** Its rows may wait for the samples of others, to be in one step with theirs. */
  get gathers(): boolean {
    return false;
  }

  /** Decode steps that may follow the rows in flight before anybody has to look at a sample: 0 for all but pure decoding. */
  get stepsAhead(): number {
    return 0;
  }

  /**
   * Takes the results of rows from `nextRows`, in order. True when the sequence has ended.
   *
   * It may take positions back by lowering `computed` (drafts that the samples after them refute), when no other of its steps is in
   * flight: the scheduler then frees their pages.
   */
  abstract accept(rows: RowRange, result: SegmentResult): boolean;

  /** The first step with this sequence is about to be submitted. Called again when it was preempted. */
  abstract start(): void;

  /** Its pages go to the prefix cache because nobody reads: it may wait for the reader to catch up before it goes on. */
  park(): void {}

  /** Drops tokens so that the rest has positions; all that is left has to be computed again. */
  shorten(): void {}

  /** Ends the sequence with an error. */
  abstract fail(error: unknown): void;

  /** The tokens of rows from `nextRows`; who drafts adds its guesses here. */
  tokensOf({ position, count, repeated }: RowRange): number[] {
    if (position >= this.tokens.length) return [PENDING_TOKEN];
    return this.tokens.slice(position, position + (repeated ? 1 : count));
  }

  /** What DRY makes of the tokens before each sampled row's choice. */
  dryPenalties(_rows: RowRange): Segment['dryPenalties'] {
    return undefined;
  }

  /** What the guesses of the rows were drawn from, where rejection sampling decides about them. */
  proposalsOf(_rows: RowRange): Segment['proposals'] {
    return undefined;
  }

  /** The masks of the rows that are sampled, where not every token may be chosen. */
  masksOf(_rows: RowRange): Segment['masks'] {
    return undefined;
  }

  end(): void {
    this.state = { kind: 'finished' };
    this.onEnd?.();
  }

  /** The cache is gone: everything that is known will be computed again. */
  recompute(): void {
    this.state = { kind: 'waiting' };
    this.computed = 0;
  }

  /** The runner is gone, and with it the steps in flight. */
  replay(): void {
    this.recompute();
    this.stepsInFlight = 0;
    this.samplesInFlight = 0;
  }
}
