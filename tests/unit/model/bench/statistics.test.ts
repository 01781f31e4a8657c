import { afterEach, describe, expect, test, vi } from 'vitest';
import { repeat } from '../../../../src/model/bench/repeat';
import { median, shareOf, spreadOf } from '../../../../src/model/bench/statistics';

test('the median of an even number of values lies between the middle two', () => {
  expect(median([9, 1, 4])).toBe(4);
  expect(median([9, 1, 4, 6])).toBe(5);
  expect(median([7])).toBe(7);
  expect(spreadOf([3, 1, 8])).toEqual({ median: 3, min: 1, max: 8, runs: 3 });
});

test('a share is of what could have been done in the time', () => {
  expect(shareOf(1, 500, 4)).toBe(0.5);
  expect(shareOf(1, 500, undefined)).toBeUndefined();
});

describe('repeat', () => {
  afterEach(() => vi.restoreAllMocks());

  /** Runs that take these seconds on a clock of their own. */
  function runs(...seconds: number[]): { run: () => Promise<number>; calls: () => number } {
    let now = 0;
    let calls = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => now);
    const run = (): Promise<number> => {
      const ms = 1000 * (seconds[calls++] ?? seconds[seconds.length - 1]);
      now += ms;
      return Promise.resolve(ms);
    };
    return { run, calls: () => calls };
  }

  test('does not count the first run', async () => {
    const { run, calls } = runs(9, 1, 2, 3);
    expect(await repeat(run, { repetitions: 3, maxSeconds: 10 })).toEqual({
      median: 2000,
      min: 1000,
      max: 3000,
      runs: 3,
    });
    expect(calls()).toBe(4);
  });

  test('stops before the time is over, but not before one run', async () => {
    expect((await repeat(runs(4).run, { repetitions: 5, maxSeconds: 10 })).runs).toBe(2);
    expect((await repeat(runs(30).run, { repetitions: 5, maxSeconds: 10 })).runs).toBe(1);
  });

  test('a first run out of all proportion is the only one', async () => {
    const { run, calls } = runs(50, 1);
    expect((await repeat(run, { repetitions: 5, maxSeconds: 10 })).median).toBe(50_000);
    expect(calls()).toBe(1);
  });

  test('ends when it is aborted', async () => {
    const signal = AbortSignal.abort();
    await expect(repeat(runs(1).run, { repetitions: 5, maxSeconds: 10, signal })).rejects.toThrow(/abort/);
  });
});
