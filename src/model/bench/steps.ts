import { GREEDY, PENDING_TOKEN, type Runner, type Segment } from '../../engine/runner';
import { throwIfAborted } from '../../errors';
import { wholePool } from '../whole_pool';

/** Steps that are submitted before the oldest is read, as in the engine. */
const IN_FLIGHT = 2;
/** A run of steps takes about this long, so that filling the pipeline does not count. */
const RUN_SECONDS = 0.3;
const FEWEST_STEPS = 4;
const MOST_STEPS = 32;

/** Successive steps that there must be room for. */
const ROOM_STEPS = 16;

/** Positions of a context in which steps of so many rows can be measured at a depth. */
export function positionsNeeded(rows: number, depth: number): number {
  return depth + ROOM_STEPS * rows;
}

/**
 * Runs a model's steps without a scheduler: one sequence on slot 0 whose pages are the pool's own order. What the cache holds before a
 * step's position is whatever is there, zeros at first: the time of a step does not depend on it.
 */
export class StepMeter {
  private readonly tables: Pick<Segment, 'pages' | 'slidingPages'>;

  constructor(
    private readonly runner: Runner,
    private readonly signal?: AbortSignal,
  ) {
    this.tables = wholePool(runner.limits);
    runner.openSlot(0, { sampling: GREEDY, promptTokens: [], outputTokens: [] });
  }

  /** Milliseconds from the first chunk's submit until the token after the prompt has been read. */
  async prefill(tokens: readonly number[]): Promise<number> {
    const { maxRows } = this.runner.limits;
    const chunks: Segment[] = [];
    for (let position = 0; position < tokens.length; position += maxRows) {
      const chunk = tokens.slice(position, position + maxRows);
      chunks.push(this.segment(chunk, position, position + chunk.length === tokens.length ? 'last' : 'none'));
    }
    return await this.time(chunks);
  }

  /** Milliseconds of each of `steps` successive steps of `rows` rows that begin at `depth`; all rows are sampled. */
  async steps(rows: number, depth: number, steps: number): Promise<number> {
    const segments = Array.from({ length: steps }, (_, i) =>
      // One row decodes: it takes the token that the step before it left on the GPU.
      this.segment(rows === 1 && i > 0 ? [PENDING_TOKEN] : this.tokens(rows), depth + i * rows, 'all'),
    );
    return (await this.time(segments)) / steps;
  }

  /** How many steps make a run of a good length, given the time of one and the room that is left. */
  static stepsPerRun(msPerStep: number, room: number): number {
    const wanted = Math.max(FEWEST_STEPS, Math.ceil((RUN_SECONDS * 1000) / msPerStep));
    return Math.max(1, Math.min(MOST_STEPS, room, wanted));
  }

  private tokens(count: number): number[] {
    return Array.from({ length: count }, (_, i) => (i * 7919) % this.runner.limits.vocabSize);
  }

  private segment(tokens: readonly number[], position: number, sample: Segment['sample']): Segment {
    return { slot: 0, tokens, position, ...this.tables, sample, sampling: GREEDY };
  }

  private async time(segments: readonly Segment[]): Promise<number> {
    const start = performance.now();
    const inFlight: Promise<unknown>[] = [];
    for (const segment of segments) {
      throwIfAborted(this.signal);
      await this.runner.ready?.(segment.tokens.length);
      const result = this.runner.run({ segments: [segment] });
      // It is awaited in its turn; by then an earlier step may have failed.
      result.catch(() => undefined);
      inFlight.push(result);
      if (inFlight.length >= IN_FLIGHT) await inFlight.shift();
    }
    await Promise.all(inFlight);
    return performance.now() - start;
  }
}
