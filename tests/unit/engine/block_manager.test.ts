import { describe, expect, it } from 'vitest';
import { BlockManager } from '../../../src/engine/block_manager';
import { InternalError } from '../../../src/errors';
import { seededRandom } from './fake_runner';

describe('BlockManager', () => {
  it('shares pages with a fork and copies only those that are written', () => {
    const blocks = new BlockManager(8, 4);
    blocks.allocate(1, 0, 10);
    blocks.fork(1, 2, 10);
    expect(blocks.pagesInUse).toBe(3);
    expect(blocks.table(2, 10)).toEqual(blocks.table(1, 10));

    const shared = blocks.table(1, 10);
    const copies = blocks.allocate(2, 10, 13);
    expect(copies).toEqual([[shared[2], blocks.table(2, 10)[2]]]);
    expect(blocks.table(2, 8)).toEqual(shared.slice(0, 2));
    expect(blocks.allocate(1, 10, 11)).toEqual([]);
    expect(blocks.table(1, 10)).toEqual(shared);
    blocks.checkIntegrity();
  });

  it('keeps shared pages until their last owner leaves', () => {
    const blocks = new BlockManager(4, 2);
    blocks.allocate(1, 0, 8);
    blocks.fork(1, 2, 3);
    blocks.free(1);
    expect(blocks.freePages).toBe(2);
    blocks.free(2);
    expect(blocks.freePages).toBe(4);
    blocks.checkIntegrity();
  });

  it('takes positions back by whole pages', () => {
    const blocks = new BlockManager(6, 4);
    blocks.allocate(1, 0, 17);
    blocks.truncate(1, 9);
    expect(blocks.freePages).toBe(3);
    expect(() => blocks.table(1, 13)).toThrow(InternalError);
    expect(blocks.table(1, 12)).toHaveLength(3);
    expect(() => blocks.truncate(1, 13)).toThrow(/3 pages/);
  });

  it('throws when pages are freed twice, run out, or go to an owner that has some', () => {
    const blocks = new BlockManager(2, 4);
    blocks.allocate(7, 0, 4);
    blocks.fork(7, 8, 4);
    expect(() => blocks.fork(7, 8, 4)).toThrow(InternalError);
    expect(() => blocks.allocate(7, 4, 13)).toThrow(/needs 3 pages, 1 of 2/);
    blocks.free(7);
    expect(() => blocks.free(7)).toThrow(/owner 7/);
    blocks.checkIntegrity();
  });

  it('stays consistent, and each owner reads only what it wrote, under random calls', () => {
    const seed = Math.trunc(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const int = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1));
    for (let round = 0; round < 30; round++) {
      const pageSize = int(1, 5);
      const blocks = new BlockManager(int(1, 20), pageSize);
      const cache = new Map<string, number>();
      const contents = new Map<number, number[]>();
      let nextOwner = 0;
      const pick = (): number | undefined => [...contents.keys()][int(0, Math.max(0, contents.size - 1))];
      for (let call = 0; call < 200; call++) {
        const owner = pick();
        const kind = int(0, 5);
        if (kind === 0 || owner === undefined) {
          contents.set(nextOwner, []);
          blocks.allocate(nextOwner++, 0, 0);
        } else if (kind <= 2) {
          const own = contents.get(owner) ?? [];
          const from = int(0, own.length);
          const to = from + int(1, 7);
          if (to < own.length || blocks.missing(owner, from, to) > blocks.freePages) continue;
          for (const [source, target] of blocks.allocate(owner, from, to)) {
            for (let i = 0; i < pageSize; i++) cache.set(`${target}:${i}`, cache.get(`${source}:${i}`) ?? -1);
          }
          own.length = from;
          const pages = blocks.table(owner, to);
          for (let p = from; p < to; p++) {
            const value = int(0, 1e9);
            own.push(value);
            cache.set(`${pages[Math.floor(p / pageSize)]}:${p % pageSize}`, value);
          }
        } else if (kind === 3) {
          const own = contents.get(owner) ?? [];
          const positions = int(0, own.length);
          blocks.fork(owner, nextOwner, positions);
          contents.set(nextOwner++, own.slice(0, positions));
        } else if (kind === 4) {
          const own = contents.get(owner) ?? [];
          own.length = int(0, own.length);
          blocks.truncate(owner, own.length);
        } else {
          blocks.free(owner);
          contents.delete(owner);
        }
        blocks.checkIntegrity();
        for (const [id, values] of contents) {
          const pages = blocks.table(id, values.length);
          const read = values.map((_, p) => cache.get(`${pages[Math.floor(p / pageSize)]}:${p % pageSize}`));
          expect(read, `seed ${seed}, owner ${id}`).toEqual(values);
        }
      }
      for (const owner of contents.keys()) blocks.free(owner);
      expect(blocks.pagesInUse).toBe(0);
    }
  });
});
