/**
 * Replays a trace of requests against the serving core, by static and by continuous batching, on the same runner: static batching takes
 * what has arrived, up to the concurrency, and takes no more until all of that has ended (as Orca's baseline does, Yu et al. 2022).
 */
import { Engine } from './engine';
import { type Percentiles, percentiles } from './percentiles';
import { GREEDY, type Runner } from './runner';
import { seededRandom } from './seeded_random';

export interface TracedRequest {
  /** Since the beginning of the trace. */
  readonly arrivalMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export interface TraceOptions {
  readonly requests: number;
  readonly seed: number;
  /** Longest prompt and output together. */
  readonly contextLength: number;
  readonly meanArrivalMs?: number;
  readonly meanPrompt?: number;
  readonly meanOutput?: number;
}

export interface BatchingReport {
  /** Forward passes. */
  readonly steps: number;
  /** Output tokens of one step. */
  readonly tokensPerStep: number;
  readonly tokensPerSecond: number;
  /** From a request's arrival to its last token. */
  readonly latencyMs: Percentiles;
  readonly timeToFirstTokenMs: Percentiles;
  /** Share of the positions of the pages in use that hold nothing, mean over the steps. */
  readonly kvWaste: number;
  /** Share of the pool's pages that are in use, mean over the steps. */
  readonly poolUse: number;
}

export interface ServeSimReport {
  readonly static: BatchingReport;
  readonly continuous: BatchingReport;
}

/** Poisson arrivals, and exponential lengths of prompts and outputs cut to what the context holds. The same for the same seed. */
export function randomTrace(options: TraceOptions): TracedRequest[] {
  const { requests, seed, contextLength } = options;
  const { meanArrivalMs = 5, meanPrompt = 24, meanOutput = 24 } = options;
  const random = seededRandom(seed);
  const exponential = (mean: number): number => -Math.log(1 - random()) * mean;
  let arrivalMs = 0;
  return Array.from({ length: requests }, () => {
    arrivalMs += exponential(meanArrivalMs);
    const promptTokens = Math.min(1 + Math.floor(exponential(meanPrompt)), Math.floor(contextLength / 2));
    const outputTokens = Math.min(1 + Math.floor(exponential(meanOutput)), contextLength - promptTokens);
    return { arrivalMs, promptTokens, outputTokens };
  });
}

/** Runs the trace twice. Requests of which the context cannot hold prompt and output reject with ContextLengthError. */
export async function simulateServing(
  runner: Runner,
  trace: readonly TracedRequest[],
  options: { readonly concurrency: number; readonly seed: number },
): Promise<ServeSimReport> {
  const inOrder = [...trace].sort((a, b) => a.arrivalMs - b.arrivalMs);
  // The first steps of a device are slow, whoever makes them.
  await new Replay(runner, [{ arrivalMs: 0, promptTokens: 1, outputTokens: 4 }], options.seed).continuous(1);
  const byBatch = await new Replay(runner, inOrder, options.seed).static(options.concurrency);
  const continuous = await new Replay(runner, inOrder, options.seed).continuous(options.concurrency);
  return { static: byBatch, continuous };
}

class Replay {
  readonly #latencies: number[] = [];
  readonly #firstTokens: number[] = [];
  readonly #engine: Engine;
  readonly #start = performance.now();
  readonly #random: () => number;
  #outputTokens = 0;

  constructor(
    runner: Runner,
    private readonly trace: readonly TracedRequest[],
    seed: number,
  ) {
    this.#random = seededRandom(seed ^ 0x5eed);
    // Steps are counted: how many there are must not depend on how fast this machine is.
    this.#engine = new Engine(runner, { maxUnread: Number.MAX_SAFE_INTEGER, stepBudgetMs: Number.POSITIVE_INFINITY });
  }

  async static(concurrency: number): Promise<BatchingReport> {
    for (let next = 0; next < this.trace.length; ) {
      await this.#arrival(this.trace[next]);
      const batch: TracedRequest[] = [];
      while (batch.length < concurrency && next < this.trace.length && this.#has(this.trace[next])) {
        batch.push(this.trace[next++]);
      }
      await Promise.all(batch.map((request) => this.#serve(request)));
    }
    return this.#report();
  }

  async continuous(concurrency: number): Promise<BatchingReport> {
    const running = new Set<Promise<void>>();
    for (const request of this.trace) {
      await this.#arrival(request);
      if (running.size === concurrency) await Promise.race(running);
      const service: Promise<void> = this.#serve(request).then(() => void running.delete(service));
      // Whoever waits below learns of the first that fails; the others have nobody then.
      service.catch(() => undefined);
      running.add(service);
    }
    await Promise.all(running);
    return this.#report();
  }

  async #serve({ arrivalMs, promptTokens, outputTokens }: TracedRequest): Promise<void> {
    const { vocabSize } = this.#engine;
    const generation = this.#engine.generate({
      promptTokens: Array.from({ length: promptTokens }, () => Math.floor(this.#random() * vocabSize)),
      maxTokens: outputTokens,
      sampling: GREEDY,
      stopTokens: new Set(),
    });
    let first: number | undefined;
    for await (const _ of generation) first ??= this.#now;
    const result = await generation.finished;
    this.#outputTokens += result.outputTokens.length;
    this.#firstTokens.push((first ?? this.#now) - arrivalMs);
    this.#latencies.push(this.#now - arrivalMs);
  }

  #report(): BatchingReport {
    const { steps, kvWaste, poolUse } = this.#engine.metrics;
    const seconds = this.#now / 1000;
    this.#engine.dispose();
    return {
      steps,
      tokensPerStep: steps > 0 ? this.#outputTokens / steps : 0,
      tokensPerSecond: seconds > 0 ? this.#outputTokens / seconds : 0,
      latencyMs: percentiles(this.#latencies),
      timeToFirstTokenMs: percentiles(this.#firstTokens),
      kvWaste,
      poolUse,
    };
  }

  get #now(): number {
    return performance.now() - this.#start;
  }

  #has({ arrivalMs }: TracedRequest): boolean {
    return arrivalMs <= this.#now;
  }

  async #arrival(request: TracedRequest): Promise<void> {
    while (!this.#has(request)) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, request.arrivalMs - this.#now)));
    }
  }
}
