import { describe, expect, it } from 'vitest';
import type { EngineOptions } from '../../../src/engine/engine_options';
import { slidingPagesFor } from '../../../src/engine/kv_pages';
import type { RequestMetrics } from '../../../src/engine/metrics';
import type { Batch } from '../../../src/engine/runner';
import type { StepMetrics } from '../../../src/engine/step_loop';
import { DeviceLostError, InvalidOptionError, QueueFullError } from '../../../src/errors';
import { expected, LIMITS, PROMPT, request, setup, turns } from './toy_engine';

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

describe('backpressure', () => {
  it('refuses the request that would wait behind too many, with the numbers, and takes it when one has ended', async () => {
    const { engine } = setup({ maxQueued: 1 }, { maxSlots: 2 });
    const running = [1, 2, 3].map((token) => engine.generate(request([token], { maxTokens: 5 })).drain());
    expect(() => engine.generate(request([4]))).toThrow(QueueFullError);
    await expect(engine.score({ promptTokens: PROMPT, onLogits: () => undefined })).rejects.toMatchObject({
      code: 'queue_full',
      requests: 3,
      maxQueued: 1,
    });
    await Promise.race(running);
    expect((await engine.generate(request(PROMPT)).drain()).outputTokens).toEqual(expected(PROMPT, 10));
    await Promise.all(running);
    expect(engine.pagesInUse).toBe(0);
    expect(() => setup({ maxQueued: -1 })).toThrow(InvalidOptionError);
  });

  it('frees the pages of a reader that throws and of a callback that throws, before the next step', async () => {
    const { engine, runner } = setup();
    const generation = engine.generate(request(PROMPT));
    const reading = (async () => {
      for await (const _ of generation) throw new RangeError('mine');
    })();
    await expect(reading).rejects.toThrow('mine');
    expect(engine.pagesInUse).toBe(0);
    let steps = 0;
    const telling = engine.generate(
      request(PROMPT, {
        onToken: () => {
          steps = runner.steps;
          throw new RangeError('mine');
        },
      }),
    );
    await expect(telling.drain()).rejects.toThrow('mine');
    expect(engine.pagesInUse).toBe(0);
    expect(runner.steps).toBe(steps);
  });

  it('a request that has to wait for pages that are being saved goes on afterwards', async () => {
    const { engine, runner } = setup({}, { numPages: 10 });
    const prompt = Array.from({ length: 38 }, (_, i) => (i * 7) % 31);
    await engine.generate(request(prompt, { maxTokens: 1 })).drain();
    const { pages } = runner;
    let finish: (() => void) | undefined;
    const read = new Promise<void>((resolve) => {
      finish = resolve;
    });
    Object.defineProperty(runner, 'pages', {
      value: { ...pages, read: (wanted: readonly number[]) => read.then(() => pages.read(wanted, 'full')) },
    });
    const saved = engine.savePrefix(prompt);
    const other = engine.generate(request([...prompt].reverse(), { maxTokens: 2 })).drain();
    await turns(5);
    finish?.();
    await saved;
    expect((await other).outputTokens).toEqual(expected([...prompt].reverse(), 2));
  });
});

describe('preemption', () => {
  // Together they need 14 pages of 12.
  const LONG = { contextLength: 28, numPages: 12, maxSlots: 2 } as const;
  const prompts = [PROMPT, [...PROMPT].reverse()];

  async function run(options: EngineOptions, limits = {}) {
    const { engine, runner } = setup({ ...options, prefixCache: false }, { ...LONG, ...limits });
    const outputs = await Promise.all(
      prompts.map((prompt) => engine.generate(request(prompt, { maxTokens: 17 })).drain()),
    );
    expect(outputs.map(({ outputTokens }) => outputTokens)).toEqual(prompts.map((prompt) => expected(prompt, 17)));
    engine.checkIntegrity();
    expect(engine.metrics.preemptions).toBeGreaterThan(0);
    expect(engine.metrics.swapped.bytes).toBe(0);
    return { ...engine.metrics.swapped, rows: runner.rows, least: 2 * (PROMPT.length + 16) };
  }

  it('by host memory computes nothing twice but the row whose sample was on its way', async () => {
    const { rows, least, out, in: back } = await run({ preemption: 'swap', maxStepsInFlight: 1 });
    expect([out, back]).toEqual([out, out]);
    expect(out).toBeGreaterThan(0);
    expect(rows).toBeLessThanOrEqual(least + 2 * out);
  });

  it('by host memory works for layers that slide', async () => {
    const sliding = { window: 5, numPages: slidingPagesFor(5, LIMITS.maxRows, LIMITS.pageSize) };
    expect((await run({ preemption: 'swap' }, { sliding })).in).toBeGreaterThan(0);
  });

  it('by computing again leaves host memory alone, and so does a cap that is too small', async () => {
    for (const options of [{ preemption: 'recompute' }, { preemption: 'swap', swapBytes: 8 }] as const) {
      const { rows, least, out } = await run(options);
      expect(out).toBe(0);
      expect(rows).toBeGreaterThan(least + PROMPT.length);
    }
  });
});

describe('a long prompt', () => {
  /** Rows of prompts in the steps that somebody else waits for too. */
  async function besideAnAnswer(stepBudgetMs: number) {
    const steps: StepMetrics[] = [];
    const limits = { maxRows: 128, numPages: 60, contextLength: 240, maxSlots: 4 };
    const { engine, runner } = setup({ stepBudgetMs, prefixCache: false, onStep: (step) => steps.push(step) }, limits);
    const run = runner.run.bind(runner);
    // A step takes time that can be measured.
    runner.run = async (batch) => {
      const result = run(batch);
      await new Promise((resolve) => setTimeout(resolve, 2));
      return result;
    };
    const long = Array.from({ length: 200 }, (_, i) => i % 7);
    const running = engine.generate(request(PROMPT, { maxTokens: 120 })).drain();
    await new Promise((resolve) => setTimeout(resolve, 12));
    const [first, second] = await Promise.all([running, engine.generate(request(long, { maxTokens: 4 })).drain()]);
    expect(first.outputTokens).toEqual(expected(PROMPT, 120));
    expect(second.outputTokens).toEqual(expected(long, 4));
    // Measured by now.
    const again = engine.generate(request(PROMPT, { maxTokens: 120 })).drain();
    await new Promise((resolve) => setTimeout(resolve, 12));
    const from = steps.length;
    const third = await engine.generate(request(long, { maxTokens: 4 })).drain();
    expect(third.outputTokens).toEqual(expected(long, 4));
    await again;
    return steps
      .slice(from)
      .flatMap(({ prefillRows, decodeRows }) => (decodeRows > 0 && prefillRows > 0 ? prefillRows : []));
  }

  it('comes in smaller pieces while somebody waits for the next token, and in large ones where that is no matter', async () => {
    const hurried = await besideAnAnswer(0);
    expect(hurried.length).toBeGreaterThanOrEqual(6);
    expect(Math.max(...hurried)).toBe(32);
    expect(Math.max(...(await besideAnAnswer(Number.POSITIVE_INFINITY)))).toBeGreaterThan(100);
  });

  it.each([-1, Number.NaN])('has no time of %d ms', (stepBudgetMs) => {
    expect(() => setup({ stepBudgetMs })).toThrow(InvalidOptionError);
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

  it('say how many bytes a second decoding moves, where somebody counts them', async () => {
    const { engine, runner } = setup({}, { numPages: 40, contextLength: 160 });
    await engine.generate(request(PROMPT, { maxTokens: 60 })).drain();
    expect(engine.metrics.memoryBytesPerSecond).toBeUndefined();
    const counted: Batch[] = [];
    Object.assign(runner, { traffic: (batch: Batch) => 1000 * counted.push(batch) });
    await engine.generate(request(PROMPT, { maxTokens: 60 })).drain();
    expect(engine.metrics.memoryBytesPerSecond).toBeGreaterThan(0);
    // A few steps alone, none of them with prompt rows.
    expect(counted.length).toBeLessThanOrEqual(4);
    for (const { segments } of counted) expect(segments.every(({ tokens }) => tokens.length === 1)).toBe(true);
  });

  it('count what fails', async () => {
    const { engine } = setup({}, {}, 1);
    await expect(engine.generate(request(PROMPT)).drain()).rejects.toThrow(DeviceLostError);
    expect(engine.metrics.requests.failed).toBe(1);
  });
});
