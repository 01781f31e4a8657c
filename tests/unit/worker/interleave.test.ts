import { describe, expect, test } from 'vitest';
import { interleave } from '../../../src/worker/interleave';

async function* counting(count: number, wait: () => Promise<void>, closed: () => void): AsyncGenerator<number> {
  try {
    for (let i = 0; i < count; i++) {
      await wait();
      yield i;
    }
  } finally {
    closed();
  }
}

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('several streams read as one', () => {
  test('every item and every end comes once, with its number, in order', async () => {
    const streams = [3, 0, 5].map((count) =>
      counting(
        count,
        () => tick(),
        () => {},
      ),
    );
    const seen: (number | undefined)[][] = [[], [], []];
    for await (const { index, item } of interleave(streams)) seen[index].push(item);
    expect(seen).toEqual([[0, 1, 2, undefined], [undefined], [0, 1, 2, 3, 4, undefined]]);
  });

  test('a stream that is always ready does not keep the others waiting', async () => {
    const eager = counting(
      1000,
      async () => {},
      () => {},
    );
    const other = counting(
      3,
      async () => {},
      () => {},
    );
    let before = 0;
    for await (const { index, item } of interleave([eager, other])) {
      if (index === 1 && item === undefined) break;
      before++;
    }
    expect(before).toBeLessThan(20);
  });

  test('a reader that leaves closes them all; an error ends them all', async () => {
    const closed: number[] = [];
    const streams = [0, 1].map((i) => counting(10, tick, () => closed.push(i)));
    for await (const _ of interleave(streams)) break;
    await tick();
    await tick();
    expect(new Set(closed)).toEqual(new Set([0, 1]));
    const failing = counting(
      10,
      async () => {
        throw new Error('broken');
      },
      () => {},
    );
    const all = async () => {
      for await (const _ of interleave([counting(10, tick, () => closed.push(2)), failing])) await tick();
    };
    await expect(all()).rejects.toThrow('broken');
    await tick();
    expect(closed).toContain(2);
  });
});
