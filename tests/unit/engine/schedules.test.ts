import { describe, expect, it } from 'vitest';
import { MAX_CHOICES, seedOfChoice } from '../../../src/engine/choices';
import { ContextOverflow } from '../../../src/engine/context_overflow';
import { Engine } from '../../../src/engine/engine';
import type { Generation, GenerationResult } from '../../../src/engine/generation_output';
import { slidingPagesFor } from '../../../src/engine/kv_pages';
import { GREEDY, type RunnerLimits } from '../../../src/engine/runner';
import { QueueFullError } from '../../../src/errors';
import { FakeRunner, nextToken, seededRandom } from './fake_runner';

const SCHEDULES = 240;

interface Expectation {
  readonly outputTokens: number[];
  readonly finishReason: 'stop' | 'length';
}

/** What the toy model says to a prompt when nobody else is there. `overflow`: for a text that may outgrow the context. */
function alone(
  prompt: readonly number[],
  maxOutput: number,
  seed: number,
  vocabSize: number,
  stopTokens: ReadonlySet<number>,
  overflow?: ContextOverflow,
): Expectation {
  const tokens = [...prompt];
  const output = () => tokens.slice(prompt.length);
  while (tokens.length - prompt.length < maxOutput) {
    const seen = [...tokens];
    const shifts = (overflow?.shorten(seen) ?? 0) - (overflow?.shiftsFor(prompt.length) ?? 0);
    const token = nextToken(seen, shifts === 0 ? seed : seedOfChoice(seed, MAX_CHOICES + shifts), vocabSize);
    if (stopTokens.has(token)) return { outputTokens: output(), finishReason: 'stop' };
    tokens.push(token);
  }
  return { outputTokens: output(), finishReason: 'length' };
}

function turns(count: number): Promise<void> {
  return new Promise((resolve) => {
    const wait = (left: number): void => void (left <= 0 ? resolve() : setImmediate(() => wait(left - 1)));
    wait(count);
  });
}

/** What was seen, for the test to be sure that it tested something. */
const NOTHING_SEEN = {
  /** Schedules in which a sequence lost its pages, a device was lost, a submit held several steps. */
  preempted: 0,
  lost: 0,
  repeated: 0,
  /** Rows whose token was still on its way. */
  pending: 0,
  /** Tokens that the prefix cache had; of those, in a schedule whose model slides. */
  cached: 0,
  cachedSliding: 0,
  /** Schedules in which layers that slide had left pages. */
  left: 0,
  accepted: 0,
  rejected: 0,
  /** Sequences that came back from host memory. */
  swapped: 0,
  /** Times that a request had outgrown the context. */
  shifts: 0,
  /** Requests that the queue had no place for, that threw, that were saved and brought back. */
  refused: 0,
  thrown: 0,
  loaded: 0,
};

/** One random mix of requests on one random small machine. */
async function runSchedule(scheduleSeed: number): Promise<typeof NOTHING_SEEN> {
  const random = seededRandom(scheduleSeed);
  const int = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
  const pageSize = int(1, 6);
  const contextLength = int(12, 60);
  const maxRows = int(1, 20);
  const window = int(1, 30);
  const slides = random() < 0.5;
  const limits: RunnerLimits = {
    vocabSize: int(5, 40),
    contextLength,
    maxRows,
    ...(slides && { sliding: { window, numPages: slidingPagesFor(window, maxRows, pageSize) + int(0, 12) } }),
    maxSampledRows: int(1, 6),
    maxSlots: int(1, 5),
    pageSize,
    numPages: Math.ceil(contextLength / pageSize) + int(0, 6),
    maxRepeat: random() < 0.6 ? int(2, 8) : undefined,
    recurrent: random() < 0.1,
  };
  const latency = (): number => int(0, 3);
  const runners: FakeRunner[] = [];
  const create = (loseAfter?: number): FakeRunner => {
    const runner = new FakeRunner(limits, latency, loseAfter);
    runners.push(runner);
    return runner;
  };
  const losing = random() < 0.3;
  const losses = losing ? int(1, 3) : 0;
  let steps = 0;
  let pagesInUse = 0;
  let left = false;
  let swapped = 0;
  const drafts = random() < 0.7;
  const draftLimits = {
    ...limits,
    pageSize: int(1, 6),
    numPages: int(4, 40),
    maxSlots: int(1, 4),
    maxRows: int(1, 20),
    sliding: undefined as RunnerLimits['sliding'],
  };
  if (random() < 0.5) {
    const numPages = slidingPagesFor(window, draftLimits.maxRows, draftLimits.pageSize) + int(0, 12);
    draftLimits.sliding = { window, numPages };
  }
  const draft = new FakeRunner(
    { ...draftLimits, recurrent: false },
    latency,
    losing ? int(0, 60) : undefined,
    int(1, 6),
  );
  const engine: Engine = new Engine(create(losing ? int(0, 25) : undefined), {
    draft: drafts && !limits.recurrent ? draft : undefined,
    rowBudget: random() < 0.5 ? int(1, limits.maxRows) : undefined,
    maxStepsInFlight: int(1, 3),
    preemption: (['auto', 'recompute', 'swap', 'swap'] as const)[int(0, 3)],
    prefixCache: random() < 0.8,
    maxQueued: random() < 0.2 ? int(0, 4) : undefined,
    swapBytes: random() < 0.8 ? undefined : int(1, 4) * 8 * pageSize,
    maxUnread: random() < 0.5 ? int(1, 4) : undefined,
    onStep: (metrics) => {
      steps++;
      pagesInUse = metrics.pagesInUse;
      swapped = Math.max(swapped, engine.metrics.swapped.in);
      left ||= slides && (engine.metrics.sliding?.pagesInUse ?? 0) < pagesInUse;
      engine.checkIntegrity();
    },
    recover: async () => {
      await turns(int(0, 4));
      return create(runners.length <= losses ? int(0, 25) : undefined);
    },
  });

  let expectedRows = 0;
  const jobs: Promise<void>[] = [];
  let cached = 0;
  let accepted = 0;
  let drafted = 0;
  let shifts = 0;
  let refused = 0;
  let thrown = 0;
  let loaded = 0;
  /** Saves a beginning, and brings it back when others may have its pages. */
  const saveAndLoad = async (tokens: readonly number[]): Promise<void> => {
    const bytes = await engine.savePrefix(tokens);
    await turns(int(0, 30));
    loaded += (await engine.loadPrefix(bytes)).positions > 0 ? 1 : 0;
  };
  const launch = (prompt: readonly number[], parent?: Generation, depth = 0): void => {
    const ownCount = !parent && random() < 0.15 ? int(2, 3) : 1;
    const maxTokens = int(1, random() < 0.2 ? 120 : 25);
    const sampling = { ...GREEDY, temperature: random() < 0.5 ? 1 : 0, seed: int(0, 1000) };
    const stopTokens = new Set(random() < 0.5 ? [int(0, limits.vocabSize - 1)] : []);
    const abort = new AbortController();
    const abortAfter = random() < 0.15 ? int(0, 10) : Number.POSITIVE_INFINITY;
    const breakAfter = random() < 0.1 ? int(1, 8) : Number.POSITIVE_INFINITY;
    const forkAfter = depth < 2 && random() < 0.3 ? int(1, 6) : Number.POSITIVE_INFINITY;
    const stopAfter = random() < 0.1 ? int(1, 8) : Number.POSITIVE_INFINITY;
    const throwAfter = random() < 0.1 ? int(1, 8) : Number.POSITIVE_INFINITY;
    const slow = random() < 0.3;
    const saves = random() < 0.15;
    const sinks = int(0, Math.floor(contextLength / 2));
    const contextOverflow =
      random() < 0.3 ? { sinks, window: int(1, Math.ceil((contextLength - sinks) / 2)) } : undefined;
    const told: number[][] = Array.from({ length: ownCount }, () => []);
    const onToken = (index: number) => (sample: { token: number }) => {
      if (told[index].length === throwAfter) throw new RangeError('mine');
      told[index].push(sample.token);
      return told[index].length >= stopAfter ? ('stop' as const) : ('continue' as const);
    };
    const guesses =
      random() < 0.5
        ? {
            ngram: random() < 0.5,
            draft: drafts && random() < 0.8,
            length: random() < 0.6 ? int(1, 8) : undefined,
            acceptance: random() < 0.5 ? ('rejection' as const) : ('coupled' as const),
          }
        : undefined;
    const request = {
      priority: random() < 0.3 ? int(-2, 2) : undefined,
      oneByOne: random() < 0.1,
      speculation: limits.recurrent ? undefined : guesses,
      maxTokens,
      sampling,
      stopTokens,
      contextOverflow,
      signal: abort.signal,
    };
    let generations: readonly Generation[];
    try {
      generations = parent
        ? [engine.fork(parent, { ...request, onToken: onToken(0) })]
        : engine.generateChoices({ ...request, promptTokens: prompt }, ownCount, (i) => ({ onToken: onToken(i) }));
    } catch (error) {
      if (!(error instanceof QueueFullError)) throw error;
      // Of several answers to a prompt, some may have been taken.
      abort.abort();
      refused++;
      return;
    }
    if (Number.isFinite(abortAfter)) void turns(abortAfter).then(() => abort.abort());
    if (saves) jobs.push(turns(int(0, 20)).then(() => saveAndLoad(prompt)));
    for (const [index, generation] of generations.entries()) {
      jobs.push(follow(generation, told[index], seedOfChoice(sampling.seed, index)));
    }

    async function follow(generation: Generation, told: readonly number[], seed: number): Promise<void> {
      const overflow = contextOverflow && new ContextOverflow(contextOverflow, contextLength);
      const room = overflow ? maxTokens : Math.min(maxTokens, contextLength - prompt.length);
      const whole = alone(prompt, room, seed, limits.vocabSize, stopTokens, overflow);
      const read: number[] = [];
      let result: GenerationResult;
      try {
        for await (const sample of generation) {
          read.push(sample.token);
          if (slow) await turns(int(0, 6));
          // What it threw at is a token of the request, but nobody was told.
          if (read.length === forkAfter && told.length < throwAfter) {
            const soFar = [...prompt, ...told];
            overflow?.shorten(soFar);
            if (soFar.length < contextLength) launch(soFar, generation, depth + 1);
          }
          if (read.length >= breakAfter) break;
        }
        result = await generation.finished;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        thrown++;
        expect(told).toEqual(whole.outputTokens.slice(0, throwAfter));
        return;
      }
      shifts += result.overflow?.shifts ?? 0;
      cached += result.cachedTokens;
      accepted += result.speculative?.accepted ?? 0;
      drafted += result.speculative?.drafted ?? 0;
      expectedRows += prompt.length + result.outputTokens.length;
      expect(result.promptTokens).toEqual(prompt);
      expect(result.outputTokens).toEqual(told);
      expect(told.slice(0, read.length)).toEqual(read);
      if (result.finishReason === 'abort') {
        expect(told).toEqual(whole.outputTokens.slice(0, told.length));
      } else {
        const stopped = stopAfter <= whole.outputTokens.length;
        expect(told).toEqual(stopped ? whole.outputTokens.slice(0, stopAfter) : whole.outputTokens);
        expect(result.finishReason).toBe(stopped ? 'stop' : whole.finishReason);
        if (!Number.isFinite(breakAfter)) expect(read).toEqual(told);
      }
    }
  };
  const requests = int(1, 8);
  const randomTokens = (count: number): number[] => Array.from({ length: count }, () => int(0, limits.vocabSize - 1));
  const systemPrompt = randomTokens(int(1, contextLength - 1));
  for (let i = 0; i < requests; i++) {
    const shared = random() < 0.5 ? systemPrompt.slice(0, int(0, systemPrompt.length)) : [];
    launch([...shared, ...randomTokens(int(shared.length > 0 ? 0 : 1, contextLength - 1 - shared.length))]);
    if (random() < 0.4) await turns(int(0, 10));
  }
  // Forks add jobs while others are awaited.
  for (let i = 0; i < jobs.length; i++) await jobs[i];
  await turns(20);
  engine.checkIntegrity();
  expect(engine.pagesInUse).toBe(0);
  expect(steps === 0 || pagesInUse >= 0).toBe(true);
  const rows = runners.reduce((sum, runner) => sum + runner.rows, 0);
  return {
    preempted: runners.length === 1 && drafted === 0 && shifts === 0 && rows > expectedRows - cached ? 1 : 0,
    cached,
    pending: runners.reduce((sum, runner) => sum + runner.pendingRows, 0),
    lost: runners.length > 1 ? 1 : 0,
    repeated: runners.some((runner) => runner.maxRepeatSeen > 1) ? 1 : 0,
    accepted,
    rejected: drafted - accepted,
    cachedSliding: slides ? cached : 0,
    left: left ? 1 : 0,
    swapped,
    shifts,
    refused,
    thrown,
    loaded,
  };
}

describe('random schedules', () => {
  it(`give every request the output it has alone, and all pages back (${SCHEDULES} seeds)`, async () => {
    const seen = { ...NOTHING_SEEN };
    for (let seed = 1; seed <= SCHEDULES; seed++) {
      try {
        const one = await runSchedule(seed);
        for (const key of Object.keys(seen) as (keyof typeof seen)[]) seen[key] += one[key];
      } catch (error) {
        throw new Error(`schedule ${seed}`, { cause: error });
      }
    }
    const least: typeof NOTHING_SEEN = {
      preempted: 10,
      lost: 10,
      repeated: 40,
      pending: 100,
      cached: 1000,
      cachedSliding: 300,
      left: 30,
      accepted: 100,
      rejected: 100,
      swapped: 20,
      shifts: 200,
      refused: 20,
      thrown: 20,
      loaded: 10,
    };
    for (const key of Object.keys(seen) as (keyof typeof seen)[]) {
      expect(seen[key], key).toBeGreaterThan(least[key]);
    }
  });
});
