import { type Percentiles, percentiles } from './percentiles';
import type { SpeculationUsage } from './speculation/speculator';
import type { StepMetrics } from './step_loop';

/** Newest values that percentiles are taken of. */
const WINDOW = 2048;

/** What became of one request; durations in milliseconds. */
export interface RequestMetrics {
  readonly finishReason: 'stop' | 'length' | 'abort' | 'error';
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** Where tokens were guessed ahead. */
  readonly speculative?: SpeculationUsage;
  /** From the request to its first step. */
  readonly queuedMs: number;
  /** From the request to its first token; absent when there was none. */
  readonly timeToFirstTokenMs?: number;
  /** Mean time from token to token after the first; absent for fewer than two tokens. */
  readonly timePerOutputTokenMs?: number;
  /** From the request to its end. */
  readonly endToEndMs: number;
}

/** What was measured, as it comes: a step of the model, or a request that has ended, for whatever reason. */
export type MetricsEvent = ({ readonly type: 'step' } & StepMetrics) | ({ readonly type: 'request' } & RequestMetrics);

/** The serving core since it was made. Percentiles are of the newest requests, tokens and steps. */
export interface EngineMetrics {
  readonly requests: {
    readonly waiting: number;
    readonly running: number;
    readonly finished: number;
    readonly aborted: number;
    readonly failed: number;
  };
  readonly promptTokens: number;
  /** Of the prompts' tokens, those that the prefix cache had. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** Guessed and accepted tokens, and steps, of the requests that have ended; `acceptance`: accepted of drafted, absent before the first guess. */
  readonly speculative: Omit<SpeculationUsage, 'failure'> & {
    readonly acceptance?: number;
    /** Of those requests, how many the draft model failed. */
    readonly failures: number;
  };
  /**
   * Bytes of device memory that decode steps read and write, by the kernels' own account, a second: of one step in sixteen. Absent before
   * there was one, and on the reference executor.
   */
  readonly memoryBytesPerSecond?: number;
  /** Decode steps of a repeated submit count each. */
  readonly steps: number;
  readonly preemptions: number;
  /** Of the preempted, those whose pages went to host memory and came back, and the bytes that are there now. */
  readonly swapped: { readonly out: number; readonly in: number; readonly bytes: number };
  /** Output tokens per second of the time in which there were steps. */
  readonly tokensPerSecond: number;
  readonly queuedMs: Percentiles;
  readonly timeToFirstTokenMs: Percentiles;
  readonly timePerOutputTokenMs: Percentiles;
  /** Between two tokens of one request as they are handed out: 0 within a submit of several steps. */
  readonly interTokenMs: Percentiles;
  readonly endToEndMs: Percentiles;
  readonly pagesInUse: number;
  readonly numPages: number;
  /** The same of layers that slide, where they have a pool of their own. */
  readonly sliding?: { readonly pagesInUse: number; readonly numPages: number };
  /** Share of the positions of the pages in use that hold nothing, mean over the steps. */
  readonly kvWaste: number;
  /** Share of the pool's pages that are in use, mean over the steps. */
  readonly poolUse: number;
}

/** The newest values of a series. */
class Series {
  readonly #values: number[] = [];
  #next = 0;

  push(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % WINDOW;
  }

  get percentiles(): Percentiles {
    return percentiles(this.#values);
  }
}

/** Adds up what steps, tokens and requests report. */
export class MetricsCollector {
  readonly #queued = new Series();
  readonly #firstToken = new Series();
  readonly #perToken = new Series();
  readonly #interToken = new Series();
  readonly #endToEnd = new Series();
  readonly #ended = { finished: 0, aborted: 0, failed: 0 };
  #promptTokens = 0;
  #cachedTokens = 0;
  #outputTokens = 0;
  #steps = 0;
  #busyMs = 0;
  #waste = 0;
  #use = 0;
  #wasteSteps = 0;
  #bytes = 0;
  #bytesMs = 0;
  #speculative = { drafted: 0, accepted: 0, steps: 0, failures: 0 };

  step(
    { repeat, ms, bytes, pagesInUse, unusedPositions }: StepMetrics,
    { pageSize, numPages }: { readonly pageSize: number; readonly numPages: number },
  ): void {
    this.#steps += repeat;
    this.#busyMs += ms;
    if (bytes !== undefined) {
      this.#bytes += bytes;
      this.#bytesMs += ms;
    }
    if (pagesInUse === 0) return;
    this.#waste += (repeat * unusedPositions) / (pagesInUse * pageSize);
    this.#use += (repeat * pagesInUse) / numPages;
    this.#wasteSteps += repeat;
  }

  /** A token was handed out, `gapMs` after the one before it. */
  token(gapMs: number | undefined): void {
    this.#outputTokens++;
    if (gapMs !== undefined) this.#interToken.push(gapMs);
  }

  request(request: RequestMetrics): void {
    const { finishReason, timeToFirstTokenMs, timePerOutputTokenMs } = request;
    this.#ended[finishReason === 'error' ? 'failed' : finishReason === 'abort' ? 'aborted' : 'finished']++;
    this.#promptTokens += request.promptTokens;
    this.#cachedTokens += request.cachedTokens;
    const { drafted, accepted, steps, failure } = request.speculative ?? { drafted: 0, accepted: 0, steps: 0 };
    this.#speculative.drafted += drafted;
    this.#speculative.accepted += accepted;
    this.#speculative.steps += steps;
    if (failure !== undefined) this.#speculative.failures++;
    this.#queued.push(request.queuedMs);
    if (timeToFirstTokenMs !== undefined) this.#firstToken.push(timeToFirstTokenMs);
    if (timePerOutputTokenMs !== undefined) this.#perToken.push(timePerOutputTokenMs);
    this.#endToEnd.push(request.endToEndMs);
  }

  snapshot(
    now: Pick<EngineMetrics, 'preemptions' | 'swapped' | 'pagesInUse' | 'numPages' | 'sliding'> & {
      readonly waiting: number;
      readonly running: number;
    },
  ): EngineMetrics {
    const { waiting, running, ...rest } = now;
    const { drafted, accepted } = this.#speculative;
    return {
      requests: { waiting, running, ...this.#ended },
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      outputTokens: this.#outputTokens,
      speculative: { ...this.#speculative, ...(drafted > 0 && { acceptance: accepted / drafted }) },
      ...(this.#bytesMs > 0 && { memoryBytesPerSecond: (this.#bytes * 1000) / this.#bytesMs }),
      steps: this.#steps,
      tokensPerSecond: this.#busyMs > 0 ? (this.#outputTokens * 1000) / this.#busyMs : 0,
      queuedMs: this.#queued.percentiles,
      timeToFirstTokenMs: this.#firstToken.percentiles,
      timePerOutputTokenMs: this.#perToken.percentiles,
      interTokenMs: this.#interToken.percentiles,
      endToEndMs: this.#endToEnd.percentiles,
      kvWaste: this.#wasteSteps > 0 ? this.#waste / this.#wasteSteps : 0,
      poolUse: this.#wasteSteps > 0 ? this.#use / this.#wasteSteps : 0,
      ...rest,
    };
  }
}
