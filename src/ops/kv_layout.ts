import type { KvCache, KvType } from './op';
import { PAGE_SIZE } from './step_layout';

/** Index of the first value of `head` at `position` in [page][kvHead][PAGE_SIZE][headDim]. */
export function kvOffset(cache: KvCache, pages: readonly number[], head: number, position: number): number {
  const page = pages[Math.floor(position / PAGE_SIZE)];
  return ((page * cache.numKvHeads + head) * PAGE_SIZE + (position % PAGE_SIZE)) * cache.headDim;
}

/** The module that reads and writes a KV element type; kernels import kv/f32.wgsl. */
export function kvSwap(kvType: KvType): Readonly<Record<string, string>> {
  return kvType === 'f32' ? {} : { 'kv/f32.wgsl': `kv/${kvType}.wgsl` };
}
