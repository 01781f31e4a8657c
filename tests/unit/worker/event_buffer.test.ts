import { describe, expect, test } from 'vitest';
import { EventBuffer } from '../../../src/worker/event_buffer';

const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

function counter(end: number, fail = false) {
  const state = { produced: 0, closed: false };
  async function* numbers(): AsyncGenerator<number, undefined> {
    try {
      while (state.produced < end) yield state.produced++;
      if (fail) throw new RangeError('the source failed');
      return undefined;
    } finally {
      state.closed = true;
    }
  }
  return { state, source: numbers() };
}

describe('EventBuffer', () => {
  test('everything arrives once and in order, then nothing', async () => {
    const { source } = counter(100);
    const buffer = new EventBuffer(source, 7);
    const all: number[] = [];
    for (;;) {
      const events = await buffer.take();
      if (events.length === 0) break;
      expect(events.length).toBeLessThanOrEqual(7);
      all.push(...events);
    }
    expect(all).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(await buffer.take()).toEqual([]);
  });

  test('the source waits while nobody reads', async () => {
    const { source, state } = counter(1000);
    const buffer = new EventBuffer(source, 8);
    for (let i = 0; i < 50; i++) await settle();
    expect(state.produced).toBe(8);
    await buffer.take();
    for (let i = 0; i < 50; i++) await settle();
    expect(state.produced).toBe(16);
    await buffer.close();
    expect(state).toEqual({ produced: 16, closed: true });
  });

  test('an error comes after the events before it', async () => {
    const { source } = counter(3, true);
    const buffer = new EventBuffer(source, 8);
    await settle();
    expect(await buffer.take()).toEqual([0, 1, 2]);
    await expect(buffer.take()).rejects.toThrow('the source failed');
  });

  test('closing wakes a reader that waits', async () => {
    let release = () => {};
    async function* waits(): AsyncGenerator<number, undefined> {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      yield 1;
      return undefined;
    }
    const buffer = new EventBuffer(waits(), 4);
    const taken = buffer.take();
    const closed = buffer.close();
    expect(await taken).toEqual([]);
    release();
    await closed;
  });
});
