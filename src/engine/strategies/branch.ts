import type { Sample, SamplingSettings, SegmentResult } from '../runner';
import { type RowRange, Sequence } from '../sequence';

/** Several continuations of one prompt that wait for each other after every token: beams, or candidates for the next token. */
export interface BranchGroup {
  /** How the branches' rows are sampled: greedily, with the likeliest tokens reported. */
  readonly sampling: SamplingSettings;
  readonly priority: number;
  /** Positions that a branch may have at the very end. */
  readonly maxPositions: number;
  /** Whether the branches need the last layer's output of their rows, and may take over what others have computed. */
  readonly returnHidden: boolean;
  readonly sharesPrefix: boolean;
  /** Nobody reads what the group gives: its branches stop until somebody does. */
  readonly paused: boolean;
  /** A branch is about to be computed for the first time. */
  started(): void;
  /** Rows of a branch from `position` on have been computed; of each its vector, where they are returned. */
  computed?(position: number, hidden: readonly Float32Array[]): void;
  /** A branch has its result. */
  arrived(): void;
  /** A branch cannot go on: none can. */
  fail(error: unknown): void;
}

/**
 * One continuation: tokens that the group gives it, of which the last one's row is sampled. Then it waits, and the group says what its tokens are
 * from there: one more, or those of another branch and one more (see Scheduler.branch).
 */
export class Branch extends Sequence {
  readonly returnLogits = false;
  override readonly priority: number;
  /** What the last token's row gave: undefined until then. */
  result: Sample | undefined;
  /** Of the rows that came last, the last of which gave the result. */
  hidden: readonly Float32Array[] = [];

  constructor(
    id: number,
    promptTokens: readonly number[],
    override readonly group: BranchGroup,
    /** Id of the group's first branch. */
    private readonly firstId: number,
    parent?: Branch,
  ) {
    super(id, promptTokens, parent);
    this.priority = group.priority;
  }

  get sampling(): SamplingSettings {
    return this.group.sampling;
  }

  protected override get place(): number {
    return this.firstId;
  }

  override get sharesPrefix(): boolean {
    return this.group.sharesPrefix;
  }

  override get returnHidden(): boolean {
    return this.group.returnHidden;
  }

  get maxPositions(): number {
    return this.group.maxPositions;
  }

  get paused(): boolean {
    return this.result !== undefined || this.group.paused;
  }

  override get parks(): boolean {
    return this.group.paused;
  }

  /** Goes on with these tokens in place of its own. */
  become(tokens: readonly number[]): void {
    this.tokens.splice(0, this.tokens.length, ...tokens);
    this.result = undefined;
  }

  nextRows(maxRows: number, maxSampledRows: number): RowRange | undefined {
    const position = this.computed;
    const left = this.tokens.length - position;
    if (this.paused || left === 0) return undefined;
    const whole = left <= maxRows && maxSampledRows > 0;
    const count = whole ? left : Math.min(maxRows, left - 1);
    return count > 0 ? { position, count, sample: whole ? 'last' : 'none' } : undefined;
  }

  start(): void {
    this.group.started();
  }

  accept({ position }: RowRange, { samples, hidden = [] }: SegmentResult): boolean {
    const [sample] = samples;
    this.hidden = hidden;
    this.group.computed?.(position, hidden);
    if (sample) {
      this.result = sample;
      this.group.arrived();
    }
    return false;
  }

  fail(error: unknown): void {
    this.group.fail(error);
  }
}
