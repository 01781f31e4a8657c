import { InternalError } from '../errors';
import { GREEDY, type SegmentResult } from './runner';
import { type RowRange, Sequence } from './sequence';

export interface ScoreRequest {
  /** At least one token. */
  readonly promptTokens: readonly number[];
  /**
   * Called for each position of the prompt, in order: `logits` has vocabSize entries and predicts the token at `position` + 1.
   * Logits are not kept: no more than a step's sampled rows exist at once.
   */
  readonly onLogits: (position: number, logits: Float32Array) => void;
  readonly signal?: AbortSignal;
}

export class ScoringSequence extends Sequence {
  readonly sampling = GREEDY;
  readonly returnLogits = true;
  readonly sharesPrefix = false;
  readonly paused = false;
  readonly finishedScoring: Promise<void>;
  /** Positions that were handed out: they are computed again after a preemption, but not scored again. */
  #scored = 0;
  #settle!: { resolve: () => void; reject: (error: unknown) => void };

  constructor(
    id: number,
    private readonly request: ScoreRequest,
  ) {
    super(id, request.promptTokens);
    this.finishedScoring = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  get maxPositions(): number {
    return this.promptLength;
  }

  nextRows(maxRows: number, maxSampledRows: number): RowRange | undefined {
    const { computed: position } = this;
    const replayed = position < this.#scored;
    const end = replayed ? this.#scored : this.promptLength;
    const count = Math.min(end - position, maxRows, replayed ? maxRows : maxSampledRows);
    return count > 0 ? { position, count, sample: replayed ? 'none' : 'all' } : undefined;
  }

  start(): void {}

  accept({ position, sample }: RowRange, { logits }: SegmentResult): boolean {
    if (sample === 'none') return false;
    if (!logits) throw new InternalError(`no logits were returned for position ${position}`);
    try {
      logits.forEach((row, i) => {
        if (this.finished) return;
        this.request.onLogits(position + i, row);
        this.#scored = position + i + 1;
      });
    } catch (error) {
      this.fail(error);
      return true;
    }
    if (this.#scored < this.promptLength) return false;
    this.#settle.resolve();
    return true;
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
  }
}
