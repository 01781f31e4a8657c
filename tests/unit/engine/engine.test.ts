import { describe, expect, it } from 'vitest';
import { Engine, type EngineOptions } from '../../../src/engine/engine';
import type { GenerateRequest } from '../../../src/engine/generation';
import type { RequestMetrics } from '../../../src/engine/metrics';
import { GREEDY, type RunnerLimits } from '../../../src/engine/runner';
import {
  ContextLengthError,
  DeviceLostError,
  DisposedError,
  InvalidFileError,
  InvalidOptionError,
} from '../../../src/errors';
import { FakeRunner, nextToken } from './fake_runner';

const LIMITS: RunnerLimits = {
  vocabSize: 31,
  contextLength: 40,
  maxRows: 8,
  maxSampledRows: 3,
  maxSlots: 2,
  pageSize: 4,
  numPages: 10,
};

function setup(options: EngineOptions = {}, limits: Partial<RunnerLimits> = {}, loseAfter?: number) {
  const runner = new FakeRunner({ ...LIMITS, ...limits }, () => 1, loseAfter);
  return { runner, engine: new Engine(runner, options) };
}

function request(promptTokens: readonly number[], more: Partial<GenerateRequest> = {}): GenerateRequest {
  return { promptTokens, maxTokens: 10, sampling: GREEDY, stopTokens: new Set(), ...more };
}

function expected(prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  while (tokens.length < prompt.length + count) tokens.push(nextToken(tokens, 0, LIMITS.vocabSize));
  return tokens.slice(prompt.length);
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

const PROMPT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5];

describe('Engine.generate', () => {
  it('streams tokens and reports how it ended', async () => {
    const { engine } = setup();
    const generation = engine.generate(request(PROMPT));
    const read: number[] = [];
    for await (const { token } of generation) read.push(token);
    expect(read).toEqual(expected(PROMPT, 10));
    const { finishReason, outputTokens, stopToken, timings } = await generation.finished;
    expect({ finishReason, outputTokens, stopToken }).toEqual({
      finishReason: 'length',
      outputTokens: read,
      stopToken: undefined,
    });
    expect(timings.timeToFirstTokenMs).toBeCloseTo(timings.queuedMs + timings.prefillMs, 6);
    expect(timings.totalMs).toBeGreaterThanOrEqual(timings.timeToFirstTokenMs + timings.decodeMs);
  });

  it('keeps decoding without waiting for tokens to be read back, and cuts the surplus', async () => {
    const { engine, runner } = setup({ maxStepsInFlight: 3 });
    const all = expected(PROMPT, 10);
    const stop = all[5];
    const first = all.indexOf(stop);
    const result = await engine.generate(request(PROMPT, { stopTokens: new Set([stop]) })).drain();
    expect(result).toMatchObject({ finishReason: 'stop', stopToken: stop, outputTokens: all.slice(0, first) });
    expect(runner.pendingRows).toBeGreaterThan(0);
    await turns(10);
    expect(engine.pagesInUse).toBe(0);
  });

  it('puts several decode steps into one submit, and cuts what follows a stop token', async () => {
    const { engine, runner } = setup({ submitBudgetMs: 1000 }, { maxRepeat: 8 });
    const all = expected(PROMPT, 28);
    const request28 = request(PROMPT, { maxTokens: 28 });
    expect((await engine.generate(request28).drain()).outputTokens).toEqual(all);
    expect(runner.maxRepeatSeen).toBe(8);
    expect(runner.rows).toBe(PROMPT.length + 27);
    const first = all.indexOf(all[20]);
    const stopped = engine.generate({ ...request28, stopTokens: new Set([all[20]]) }).drain();
    expect((await stopped).outputTokens).toEqual(all.slice(0, first));
    await turns(10);
    expect(engine.pagesInUse).toBe(0);
  });

  it('goes step by step where a request asks for it, where somebody waits, and without a budget', async () => {
    const one = setup({ submitBudgetMs: 1000 }, { maxRepeat: 8 });
    await one.engine.generate(request(PROMPT, { maxTokens: 20, oneByOne: true })).drain();
    expect(one.runner.maxRepeatSeen).toBe(1);
    const none = setup({ submitBudgetMs: 0 }, { maxRepeat: 8 });
    await none.engine.generate(request(PROMPT, { maxTokens: 20 })).drain();
    expect(none.runner.maxRepeatSeen).toBe(1);
    const queue = setup({ submitBudgetMs: 1000 }, { maxRepeat: 8, maxSlots: 1 });
    const first = queue.engine.generate(request(PROMPT, { maxTokens: 20 })).drain();
    const second = queue.engine.generate(request(PROMPT, { maxTokens: 1 })).drain();
    await Promise.all([first, second]);
    expect(queue.runner.maxRepeatSeen).toBe(1);
  });

  it('computes no row past maxTokens', async () => {
    const { engine, runner } = setup({ maxStepsInFlight: 3 });
    await engine.generate(request(PROMPT, { maxTokens: 4 })).drain();
    await turns(10);
    expect(runner.rows).toBe(PROMPT.length + 3);
  });

  it('ends with the context, whatever maxTokens says', async () => {
    const { engine } = setup();
    const result = await engine.generate(request(PROMPT, { maxTokens: 1000 })).drain();
    expect(result.finishReason).toBe('length');
    expect(result.outputTokens).toEqual(expected(PROMPT, LIMITS.contextLength - PROMPT.length));
  });

  it('keeps steps within the row budget', async () => {
    const { engine, runner } = setup({ rowBudget: 3 });
    await engine.generate(request(PROMPT)).drain();
    expect(runner.maxRowsSeen).toBe(3);
  });

  it('pauses for a reader that stops reading, lets others pass it, and goes on', async () => {
    const { engine } = setup({ maxUnread: 3 }, { maxSlots: 1 });
    const told: number[] = [];
    const slow = engine.generate(request(PROMPT, { onToken: ({ token }) => (told.push(token), 'continue') }));
    await turns(40);
    expect(told).toEqual(expected(PROMPT, 3));
    const other = await engine.generate(request([7, 7])).drain();
    expect(other.outputTokens).toEqual(expected([7, 7], 10));
    expect((await slow.drain()).outputTokens).toEqual(expected(PROMPT, 10));
  });

  it('frees the pages of a reader that leaves or aborts within one step', async () => {
    const { engine } = setup();
    const abort = new AbortController();
    for await (const _ of engine.generate(request(PROMPT))) break;
    expect(engine.pagesInUse).toBe(0);
    const generation = engine.generate(request(PROMPT, { signal: abort.signal }));
    await turns(4);
    expect(engine.pagesInUse).toBeGreaterThan(0);
    abort.abort();
    expect(engine.pagesInUse).toBe(0);
    expect((await generation.drain()).finishReason).toBe('abort');
    expect((await engine.generate(request(PROMPT, { signal: abort.signal })).drain()).outputTokens).toEqual([]);
  });

  it('ends the one request whose onToken throws', async () => {
    const { engine } = setup();
    const broken = engine.generate(
      request(PROMPT, {
        onToken: () => {
          throw new RangeError('mine');
        },
      }),
    );
    const other = engine.generate(request([1, 2]));
    await expect(broken.drain()).rejects.toThrow('mine');
    expect((await other.drain()).outputTokens).toEqual(expected([1, 2], 10));
  });

  it('refuses bad requests by name', () => {
    const { engine } = setup();
    expect(() => engine.generate(request([]))).toThrow(InvalidOptionError);
    expect(() => engine.generate(request([1, 31]))).toThrow(/31 at 1/);
    expect(() => engine.generate(request([1, Number.NaN]))).toThrow(InvalidOptionError);
    expect(() => engine.generate(request([1], { maxTokens: 0 }))).toThrow(/maxTokens/);
    expect(() => engine.generate(request(Array.from({ length: 40 }, () => 1)))).toThrow(ContextLengthError);
    expect(() => setup({ rowBudget: 9 })).toThrow(/rowBudget/);
    expect(() => setup({ maxStepsInFlight: 0 })).toThrow(/maxStepsInFlight/);
    expect(() => setup().engine.fork(engine.generate(request([1])), request([]))).toThrow(/parent/);
    engine.dispose();
    expect(() => engine.generate(request([1]))).toThrow(DisposedError);
  });

  it('rejects what is under way when it is disposed', async () => {
    const { engine } = setup();
    const generation = engine.generate(request(PROMPT));
    await turns(3);
    engine.dispose();
    await expect(generation.drain()).rejects.toThrow(DisposedError);
    expect(engine.pagesInUse).toBe(0);
  });
});

describe('the prefix cache', () => {
  const LARGE = { contextLength: 120, numPages: 30, maxSlots: 3, maxRows: 40 };

  it('computes only what is new in the second turn of a chat', async () => {
    const { engine, runner } = setup({}, LARGE);
    const first = await engine.generate(request(PROMPT)).drain();
    expect(first.cachedTokens).toBe(0);
    const history = [...PROMPT, ...first.outputTokens];
    const news = [8, 8, 1];
    const before = runner.rows;
    const second = await engine.generate(request([...history, ...news], { maxTokens: 5 })).drain();
    // The last token of an answer was sampled and never computed.
    expect(second.cachedTokens).toBe(history.length - 1);
    expect(runner.rows - before).toBe(1 + news.length + 4);
    expect(second.outputTokens).toEqual(expected([...history, ...news], 5));
    expect(engine.pagesInUse).toBe(0);
    engine.checkIntegrity();
  });

  it('shares a beginning between requests that run at once, and cuts it where they differ', async () => {
    const { engine, runner } = setup({}, LARGE);
    const system = Array.from({ length: 17 }, (_, i) => i);
    const first = engine.generate(request([...system, 1], { maxTokens: 30 }));
    await turns(8);
    const before = runner.rows;
    const others = [2, 3].map((token) => engine.generate(request([...system, token], { maxTokens: 1 })).drain());
    // Four full pages of four, and of the fifth, which the first request has filled by now, what is alike.
    expect((await Promise.all(others)).map(({ cachedTokens }) => cachedTokens)).toEqual([17, 17]);
    expect(runner.rows - before).toBeLessThan(2 * system.length);
    expect((await Promise.all(others)).map(({ outputTokens }) => outputTokens[0])).toEqual(
      [2, 3].map((token) => expected([...system, token], 1)[0]),
    );
    expect((await first.drain()).outputTokens).toEqual(expected([...system, 1], 30));
    const again = await engine.generate(request([...system, 2, 9, 9], { maxTokens: 4 })).drain();
    expect(again.cachedTokens).toBe(18);
    expect(again.outputTokens).toEqual(expected([...system, 2, 9, 9], 4));
  });

  it('has the same prompt again but for its last token, whatever the size of a page', async () => {
    const { engine, runner } = setup({}, { ...LARGE, pageSize: 32, numPages: 8 });
    for (const cached of [0, PROMPT.length - 1]) {
      const before = runner.rows;
      const result = await engine.generate(request(PROMPT, { maxTokens: 1 })).drain();
      expect(result).toMatchObject({ cachedTokens: cached, outputTokens: expected(PROMPT, 1) });
      expect(runner.rows - before).toBe(PROMPT.length - cached);
    }
  });

  it('gives its pages up, the oldest first, when others need them', async () => {
    const { engine } = setup({}, { numPages: 10, maxSlots: 1 });
    const prompts = [0, 1, 2].map((start) => Array.from({ length: 15 }, (_, i) => (i * 3 + start) % 31));
    for (const prompt of prompts) await engine.generate(request(prompt, { maxTokens: 2 })).drain();
    const hits: number[] = [];
    for (const prompt of [prompts[2], prompts[0], prompts[2]]) {
      const { cachedTokens, outputTokens } = await engine.generate(request(prompt, { maxTokens: 2 })).drain();
      hits.push(cachedTokens);
      expect(outputTokens).toEqual(expected(prompt, 2));
    }
    expect(hits[0]).toBe(14);
    expect(hits[1]).toBeLessThan(14);
    expect(hits[2]).toBe(14);
  });

  it('is taken out as bytes and brought back, beside other requests', async () => {
    const { engine, runner } = setup({}, LARGE);
    const first = await engine.generate(request(PROMPT)).drain();
    const history = [...PROMPT, ...first.outputTokens];
    const other = engine.generate(request([30, 2, 1], { maxTokens: 30 })).drain();
    const bytes = await engine.savePrefix(history, 'about nothing');
    const again = setup({}, LARGE);
    const busy = again.engine.generate(request([9, 9], { maxTokens: 20 })).drain();
    expect(await again.engine.loadPrefix(bytes)).toEqual({
      tokens: history,
      note: 'about nothing',
      positions: history.length - 1,
    });
    const second = await again.engine.generate(request([...history, 8], { maxTokens: 5 })).drain();
    expect(second.cachedTokens).toBe(history.length - 1);
    expect(second.outputTokens).toEqual(expected([...history, 8], 5));
    expect((await busy).outputTokens).toEqual(expected([9, 9], 20));
    expect((await other).outputTokens).toEqual(expected([30, 2, 1], 30));
    for (const { pagesInUse } of [engine, again.engine]) expect(pagesInUse).toBe(0);
    engine.checkIntegrity();
    again.engine.checkIntegrity();
    expect(runner.steps).toBeGreaterThan(0);

    const full = setup({}, { ...LARGE, numPages: 3, contextLength: 12 });
    expect((await full.engine.loadPrefix(bytes)).positions).toBe(12);
    const foreign = setup({}, { ...LARGE, vocabSize: 40 });
    await expect(foreign.engine.loadPrefix(bytes)).rejects.toThrow(InvalidOptionError);
    full.engine.checkIntegrity();
  });

  it('refuses saved bytes that are broken, whatever is wrong with them', async () => {
    const { engine } = setup({}, LARGE);
    await engine.generate(request(PROMPT)).drain();
    const bytes = await engine.savePrefix(PROMPT);
    const broken = [
      new Uint8Array(),
      bytes.subarray(0, 20),
      bytes.subarray(0, bytes.length - 1),
      bytes.slice().fill(0),
    ];
    for (const [at, value] of [
      [0, 88],
      [4, 9],
      [8, 255],
      [11, 255],
      [12, 33],
    ] as const) {
      const copy = bytes.slice();
      copy[at] = value;
      broken.push(copy);
    }
    for (const each of broken) await expect(engine.loadPrefix(each)).rejects.toThrow(InvalidFileError);
    expect(engine.pagesInUse).toBe(0);
  });

  it('is off when it is not wanted, and for models whose state cannot be shared', async () => {
    for (const { engine } of [setup({ prefixCache: false }, LARGE), setup({}, { ...LARGE, recurrent: true })]) {
      for (let turn = 0; turn < 2; turn++) {
        expect((await engine.generate(request(PROMPT)).drain()).cachedTokens).toBe(0);
      }
    }
  });
});

describe('fairness', () => {
  it('a long prompt gets on beside a stream of requests that never ends, and none of those waits for it', async () => {
    const { engine } = setup({ rowBudget: 4 }, { contextLength: 120, numPages: 60, maxSlots: 3 });
    const prompt = Array.from({ length: 60 }, (_, i) => (i * 11) % 31);
    const ended = new AbortController();
    const long = engine.generate(request(prompt, { maxTokens: 20 }));
    void long.drain().then(() => ended.abort());
    let served = 0;
    const stream = async (token: number): Promise<void> => {
      while (!ended.signal.aborted && served < 500) {
        const { outputTokens } = await engine.generate(request([token, served % 31], { maxTokens: 3 })).drain();
        expect(outputTokens).toHaveLength(3);
        served++;
      }
    };
    await Promise.all([1, 2, 3, 4, 5].map(stream));
    expect((await long.finished).outputTokens).toEqual(expected(prompt, 20));
    // 15 steps of a whole budget for the prompt alone, and others in each of them.
    expect(served).toBeGreaterThan(10);
    expect(served).toBeLessThan(200);
  });
});

describe('metrics', () => {
  it('add up over requests that end, abort and fail', async () => {
    const ended: RequestMetrics[] = [];
    const { engine } = setup({ onRequest: (metrics) => ended.push(metrics) }, { maxSlots: 3 });
    await engine.generate(request(PROMPT)).drain();
    await engine.generate(request(PROMPT, { maxTokens: 4 })).drain();
    for await (const _ of engine.generate(request([1, 2]))) break;
    await engine.generate(request([1, 2, 3], { maxTokens: 1 })).drain();
    const { metrics } = engine;
    expect(metrics.requests).toEqual({ waiting: 0, running: 0, finished: 3, aborted: 1, failed: 0 });
    expect(metrics.promptTokens).toBe(2 * PROMPT.length + 2 + 3);
    expect(metrics.cachedTokens).toBe(ended.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0));
    expect(ended[1].cachedTokens).toBe(PROMPT.length - 1);
    expect(ended.map(({ finishReason }) => finishReason)).toEqual(['length', 'length', 'abort', 'length']);
    expect(metrics.outputTokens).toBe(ended.reduce((sum, { outputTokens }) => sum + outputTokens, 0));
    expect(ended[3].timePerOutputTokenMs).toBeUndefined();
    expect(metrics.timeToFirstTokenMs.p50).toBeGreaterThan(0);
    expect(metrics.endToEndMs.p99).toBeGreaterThanOrEqual(metrics.endToEndMs.p50);
    expect(metrics.tokensPerSecond).toBeGreaterThan(0);
    expect(metrics.steps).toBeGreaterThanOrEqual(10);
    expect(metrics).toMatchObject({ pagesInUse: 0, numPages: 10, preemptions: 0 });
  });

  it('count what fails', async () => {
    const { engine } = setup({}, {}, 1);
    await expect(engine.generate(request(PROMPT)).drain()).rejects.toThrow(DeviceLostError);
    expect(engine.metrics.requests.failed).toBe(1);
  });
});

describe('priority', () => {
  it('is served sooner, but passes only so many that came before', async () => {
    const { engine } = setup({}, { maxSlots: 1 });
    const order: string[] = [];
    const start = (name: string, token: number, priority: number) =>
      engine
        .generate(request([token, 1, 2], { maxTokens: 3, priority }))
        .drain()
        .then(() => order.push(name));
    const all = [start('running', 1, 0)];
    await turns(1);
    all.push(start('first', 2, 0));
    for (let i = 0; i < 20; i++) all.push(start(`urgent ${i}`, 3 + i, 1));
    all.push(start('low', 29, -1));
    await Promise.all(all);
    expect(order[0]).toBe('running');
    expect(order[1]).toBe('urgent 0');
    expect(order.indexOf('first')).toBe(16);
    expect(order.at(-1)).toBe('low');
    expect(() => engine.generate(request([1], { priority: 0.5 }))).toThrow(/priority/);
  });
});

describe('Engine.fork', () => {
  it('shares the pages of its parent and computes only what differs', async () => {
    const { engine, runner } = setup();
    let child: Promise<readonly number[]> | undefined;
    let rowsBefore = 0;
    const parent = engine.generate(request(PROMPT, { maxTokens: 20 }));
    for await (const _ of parent) {
      if (child) continue;
      rowsBefore = runner.rows;
      const fork = engine.fork(parent, { ...request([]), maxTokens: 6, sampling: { ...GREEDY, seed: 5 } });
      child = fork.drain().then(({ promptTokens, outputTokens }) => [...promptTokens, ...outputTokens]);
    }
    const tokens = (await child) ?? [];
    const prompt = tokens.slice(0, -6);
    expect(prompt).toEqual([...PROMPT, ...expected(PROMPT, prompt.length - PROMPT.length)]);
    const output = tokens.slice(-6);
    output.forEach((token, i) => {
      expect(token).toBe(nextToken(tokens.slice(0, prompt.length + i), 5, LIMITS.vocabSize));
    });
    expect(runner.rows - rowsBefore).toBeLessThan(20 + 6);
  });
});

describe('Engine.score', () => {
  it('hands out the logits of every position once, in order, beside other requests that take its pages', async () => {
    const { engine, runner } = setup({}, { maxSlots: 3 });
    const others = [[1], [2, 3]].map((prompt) => engine.generate(request(prompt, { maxTokens: 30 })).drain());
    const prompt = Array.from({ length: 21 }, (_, i) => (i * 7) % 31);
    const seen: number[] = [];
    await engine.score({
      promptTokens: prompt,
      onLogits: (position, logits) => {
        expect(position).toBe(seen.length);
        seen.push(logits.indexOf(1));
      },
    });
    expect(seen).toEqual(prompt.map((_, i) => nextToken(prompt.slice(0, i + 1), 0, LIMITS.vocabSize)));
    expect((await Promise.all(others)).map(({ outputTokens }) => outputTokens)).toEqual([
      expected([1], 30),
      expected([2, 3], 30),
    ]);
    await turns(10);
    expect(engine.pagesInUse).toBe(0);
    expect(runner.rows).toBeGreaterThan(0);
  });

  it('scores a prompt that fills the context, and refuses a longer one', async () => {
    const { engine } = setup();
    let count = 0;
    const score = (length: number) =>
      engine.score({ promptTokens: Array.from({ length }, () => 1), onLogits: () => void count++ });
    await score(LIMITS.contextLength);
    expect(count).toBe(LIMITS.contextLength);
    await expect(score(LIMITS.contextLength + 1)).rejects.toThrow(ContextLengthError);
  });

  it('rejects on abort and with what the callback throws', async () => {
    const { engine } = setup();
    const abort = new AbortController();
    const scoring = engine.score({ promptTokens: PROMPT, onLogits: () => abort.abort(), signal: abort.signal });
    await expect(scoring).rejects.toMatchObject({ name: 'AbortError' });
    const broken = engine.score({
      promptTokens: PROMPT,
      onLogits: () => {
        throw new RangeError('mine');
      },
    });
    await expect(broken).rejects.toThrow('mine');
    expect(engine.pagesInUse).toBe(0);
  });
});

describe('a runner that is lost', () => {
  it('rejects everything and refuses new requests until it is replaced', async () => {
    const { engine } = setup({}, {}, 5);
    const generations = [engine.generate(request(PROMPT)), engine.generate(request([1]))];
    for (const generation of generations) await expect(generation.drain()).rejects.toThrow(DeviceLostError);
    expect(engine.pagesInUse).toBe(0);
    expect(() => engine.generate(request([1]))).toThrow(DeviceLostError);
    engine.replaceRunner(new FakeRunner(LIMITS, () => 1));
    expect((await engine.generate(request([1])).drain()).outputTokens).toEqual(expected([1], 10));
  });

  it('goes on where it was, with no token twice and none missing, when recover gives a new one', async () => {
    let recoveries = 0;
    const { engine } = setup(
      {
        recover: async () => {
          recoveries++;
          await turns(3);
          return new FakeRunner(LIMITS, () => 1);
        },
      },
      {},
      6,
    );
    const told: number[] = [];
    const generation = engine.generate(request(PROMPT, { onToken: ({ token }) => (told.push(token), 'continue') }));
    const read: number[] = [];
    for await (const { token } of generation) read.push(token);
    expect(recoveries).toBe(1);
    expect(read).toEqual(expected(PROMPT, 10));
    expect(told).toEqual(read);
  });

  it('ends with the error of recover when that gives up', async () => {
    const { engine } = setup({ recover: () => Promise.reject(new DeviceLostError('restart the browser')) }, {}, 2);
    await expect(engine.generate(request(PROMPT)).drain()).rejects.toThrow('restart the browser');
  });

  it('is replaced while it still works', async () => {
    const { engine } = setup();
    const generation = engine.generate(request(PROMPT, { maxTokens: 20 }));
    await turns(9);
    engine.replaceRunner(new FakeRunner({ ...LIMITS, pageSize: 3, numPages: 20 }, () => 2));
    expect((await generation.drain()).outputTokens).toEqual(expected(PROMPT, 20));
  });
});
