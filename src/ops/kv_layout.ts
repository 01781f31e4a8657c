import { InternalError } from '../errors';
import type { KvCache, KvType, ReferenceStep } from './op';
import { PAGE_SIZE } from './step_layout';

/** Values of a head that share a scale in the quantised types. */
const KV_BLOCK = 32;

/** Bytes of a block: its scale as f32 and its codes, in whole words. */
const BLOCK_BYTES = { q8_0: 4 + KV_BLOCK, q4_0: 4 + KV_BLOCK / 2 } as const;

/** Number by which kernels find the block table of a cache: 0 of those that keep everything, 1 of those with a window. */
export function kvGroup(cache: KvCache): number {
  return cache.window === undefined ? 0 : 1;
}

/** The block table of a cache in a segment. */
export function kvPages(cache: KvCache, segment: ReferenceStep['segments'][number]): readonly number[] {
  return cache.window === undefined ? segment.pages : segment.slidingPages;
}

/** Index of the first value of `head` at `position` in [page][kvHead][PAGE_SIZE][headDim]. */
export function kvOffset(cache: KvCache, pages: readonly number[], head: number, position: number): number {
  const page = pages[Math.floor(position / PAGE_SIZE)];
  return ((page * cache.numKvHeads + head) * PAGE_SIZE + (position % PAGE_SIZE)) * cache.headDim;
}

/** The module by which a kernel reads or writes a KV element type; kernels import that of f32. */
export function kvSwap(kvType: KvType, access: 'read' | 'write'): Readonly<Record<string, string>> {
  return kvType === 'f32' ? {} : { [`kv/${access}_f32.wgsl`]: `kv/${access}_${kvType}.wgsl` };
}

/** Values that must lie together: heads are multiples of it. */
export function kvBlockSize(kvType: KvType): number {
  return kvType === 'q8_0' || kvType === 'q4_0' ? KV_BLOCK : 1;
}

/** Bytes that `values` cached values take: whole blocks. */
export function kvValueBytes(kvType: KvType, values: number): number {
  switch (kvType) {
    case 'f32':
      return values * 4;
    case 'f16':
      return values * 2;
    case 'q8_0':
    case 'q4_0':
      return (values / KV_BLOCK) * BLOCK_BYTES[kvType];
  }
}

/** Throws InternalError when a cache of this type cannot hold heads of `headDim` values. */
export function expectKvBlocks(op: string, kvType: KvType, headDim: number): void {
  if (headDim % kvBlockSize(kvType) === 0) return;
  throw new InternalError(`${op}: heads of ${headDim} values cannot be cut into ${kvType}'s blocks of ${KV_BLOCK}`);
}
