import { describe, expect, it } from 'vitest';
import { GREEDY } from '../../../src/engine/runner';
import { ContextLengthError, DeviceLostError, DisposedError, InvalidOptionError } from '../../../src/errors';
import { FakeRunner, nextToken } from './fake_runner';
import { expected, LIMITS, PROMPT, request, setup, turns } from './toy_engine';

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
    const { engine, runner } = setup({ maxUnread: 3 }, { maxSlots: 1 });
    const told: number[] = [];
    const slow = engine.generate(request(PROMPT, { onToken: ({ token }) => (told.push(token), 'continue') }));
    await turns(40);
    expect(told).toEqual(expected(PROMPT, 3));
    // What it had is kept as long as nobody needs the room.
    expect(engine.pagesInUse).toBe(0);
    const other = await engine.generate(request([7, 7])).drain();
    expect(other.outputTokens).toEqual(expected([7, 7], 10));
    const before = runner.rows;
    const { outputTokens, cachedTokens } = await slow.drain();
    expect(outputTokens).toEqual(expected(PROMPT, 10));
    expect(cachedTokens).toBe(0);
    expect(runner.rows - before).toBeLessThan(10);
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
describe('a runner that still compiles', () => {
  function compiling(runner: FakeRunner) {
    let finish: (() => void) | undefined;
    let pending: Promise<void> | undefined = new Promise((resolve) => {
      finish = () => {
        pending = undefined;
        resolve();
      };
    });
    Object.assign(runner, { ready: (rows: number) => (rows > 4 ? pending : undefined) });
    return () => finish?.();
  }

  it('runs short steps at once and long ones when it is ready; what is aborted or saved meanwhile loses nothing', async () => {
    const { engine, runner } = setup({}, { maxSlots: 3, numPages: 30 });
    const finish = compiling(runner);
    expect((await engine.generate(request([1, 2], { maxTokens: 3 })).drain()).outputTokens).toEqual(
      expected([1, 2], 3),
    );
    const steps = runner.steps;
    const abort = new AbortController();
    const long = engine.generate(request(PROMPT)).drain();
    const aborted = engine.generate(request([...PROMPT].reverse(), { signal: abort.signal })).drain();
    await turns(5);
    expect(runner.steps).toBe(steps);
    abort.abort();
    const saved = engine.savePrefix([...PROMPT].reverse());
    finish();
    expect((await long).outputTokens).toEqual(expected(PROMPT, 10));
    expect((await aborted).finishReason).toBe('abort');
    const other = setup({}, { maxSlots: 3, numPages: 30 });
    await other.engine.loadPrefix(await saved);
    const again = await other.engine.generate(request([...PROMPT].reverse())).drain();
    expect(again.outputTokens).toEqual(expected([...PROMPT].reverse(), 10));
    engine.checkIntegrity();
  });

  it('ends everything when it cannot compile', async () => {
    const { engine, runner } = setup();
    Object.assign(runner, { ready: () => Promise.reject(new RangeError('no such kernel')) });
    await expect(engine.generate(request(PROMPT)).drain()).rejects.toThrow('no such kernel');
  });
});
