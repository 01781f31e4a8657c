import { type DeviceLostError, InvalidOptionError } from '../errors';
import type { RequestMetrics } from './metrics';
import type { Runner } from './runner';
import type { StepMetrics } from './step_loop';
import { PREEMPTION_MODES, type PreemptionMode } from './swap_space';

export interface EngineOptions {
  /** Rows of one step, 1 … limits.maxRows (default). Smaller: shorter steps while a long prompt comes in. */
  readonly rowBudget?: number;
  /**
   * Longest that a step with rows of prompts should take while somebody waits for its tokens, by the measured time of such rows, default 100 ms;
   * 32 rows it takes in any case. Infinity: no limit but the rows.
   */
  readonly stepBudgetMs?: number;
  /** Steps submitted before the oldest has been read back, default 2. With 1 the GPU waits for JavaScript after each token. */
  readonly maxStepsInFlight?: number;
  /** A generation pauses at this many unread tokens, default 64. */
  readonly maxUnread?: number;
  /** Requests that may wait beside those that the runner has slots for; one more is refused with QueueFullError. Default: any number. */
  readonly maxQueued?: number;
  /** Longest that a submit of several decode steps should take by the measured time of a step, default 30 ms. 0: always one step. */
  readonly submitBudgetMs?: number;
  /** Whether requests that begin alike share the pages of what is alike, also one after another; default true. */
  readonly prefixCache?: boolean;
  /** What becomes of a request that loses its pages to others: computed again, kept in host memory, or (`auto`) what costs less; default auto. */
  readonly preemption?: PreemptionMode;
  /** Host memory that pages of such requests may take, default 256 MiB. */
  readonly swapBytes?: number;
  /** A smaller model with the same vocabulary, which drafts for requests that ask for it. The runner stays its owner's. */
  readonly draft?: Runner;
  readonly onStep?: (metrics: StepMetrics) => void;
  /** A request has ended, for whatever reason. */
  readonly onRequest?: (metrics: RequestMetrics) => void;
  /**
   * Called when the runner lost its device: returns a new runner, on which everything that is under way goes on, or rejects with the
   * error that it ends with. Without it, and after any other failure, everything ends with the runner's error.
   */
  readonly recover?: (error: DeviceLostError) => Promise<Runner>;
}

export const DEFAULT_SWAP_BYTES = 256 * 2 ** 20;

/** Throws InvalidOptionError. */
export function checkEngineOptions(options: EngineOptions): void {
  for (const field of ['maxStepsInFlight', 'maxUnread'] as const) {
    const value = options[field] ?? 1;
    if (!Number.isSafeInteger(value) || value < 1)
      throw new InvalidOptionError(field, `${value} is not a positive integer`);
  }
  for (const field of ['maxQueued', 'swapBytes'] as const) {
    const value = options[field] ?? 0;
    if (!Number.isSafeInteger(value) || value < 0)
      throw new InvalidOptionError(field, `${value} is not an integer of at least 0`);
  }
  const { stepBudgetMs = 0 } = options;
  if (!(stepBudgetMs >= 0)) throw new InvalidOptionError('stepBudgetMs', `${stepBudgetMs} is not a time`);
  if (options.preemption !== undefined && !PREEMPTION_MODES.includes(options.preemption)) {
    throw new InvalidOptionError('preemption', `must be one of ${PREEMPTION_MODES.join(', ')}`);
  }
}
