import { InternalError } from '../errors';
import { noNumbers } from './no_numbers';
import { GREEDY, type SegmentResult } from './runner';
import { type RowRange, Sequence } from './sequence';

export interface EmbedRequest {
  /** At least one token, and no more than a step has rows: an encoder sees the whole text at once. */
  readonly promptTokens: readonly number[];
  readonly signal?: AbortSignal;
}

/** A text that becomes one vector: all its rows run in one step. */
export class EmbeddingSequence extends Sequence {
  readonly sampling = GREEDY;
  readonly returnLogits = true;
  readonly sharesPrefix = false;
  readonly paused = false;
  readonly vector: Promise<Float32Array>;
  #settle!: { resolve: (vector: Float32Array) => void; reject: (error: unknown) => void };

  constructor(id: number, request: EmbedRequest) {
    super(id, request.promptTokens);
    this.vector = new Promise<Float32Array>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
  }

  get maxPositions(): number {
    return this.promptLength;
  }

  nextRows(maxRows: number, maxSampledRows: number): RowRange | undefined {
    if (this.computed > 0 || this.promptLength > maxRows || maxSampledRows < 1) return undefined;
    return { position: 0, count: this.promptLength, sample: 'last' };
  }

  start(): void {}

  accept(_rows: RowRange, { logits }: SegmentResult): boolean {
    if (logits?.length !== 1) throw new InternalError(`${logits?.length ?? 0} vectors were returned for one text`);
    if (logits[0].every(Number.isFinite)) this.#settle.resolve(logits[0]);
    else this.#settle.reject(noNumbers('the vector of a text holds something else than finite numbers'));
    return true;
  }

  fail(error: unknown): void {
    this.#settle.reject(error);
  }
}
