import { InternalError } from '../errors';
import type { KvPages } from './kv_pages';
import type { PrefixStore } from './saved_prefix';
import type { Sequence } from './sequence';
import type { SlotPool } from './slot_pool';
import type { SwapSpace } from './swap_space';

/** What a scheduler keeps. */
export interface SchedulerParts {
  readonly pages: KvPages;
  readonly slots: SlotPool;
  readonly store: PrefixStore;
  readonly swap: SwapSpace | undefined;
  readonly waiting: readonly Sequence[];
  readonly running: readonly Sequence[];
}

/** Throws InternalError when a page or slot is lost or shared wrongly, or belongs to nobody. */
export function checkSequences({ pages, slots, store, swap, waiting, running }: SchedulerParts): void {
  pages.checkIntegrity();
  slots.checkIntegrity();
  for (const { id, state, computed } of running) {
    if (state.kind !== 'running') throw new InternalError(`sequence ${id} runs as ${state.kind}`);
    pages.tables(id, computed);
    if (!pages.canContinue(id, computed)) throw new InternalError(`sequence ${id} lacks pages of its window`);
  }
  for (const { id } of waiting) {
    if (pages.has(id)) throw new InternalError(`sequence ${id} waits with pages`);
  }
  for (const owner of swap?.owners() ?? []) {
    if (!waiting.some(({ id }) => id === owner))
      throw new InternalError(`sequence ${owner} has pages in host memory and does not wait`);
  }
  const inUse = pages.pagesInUse + pages.slidingPagesInUse;
  if (running.length + waiting.length + store.pinned === 0 && inUse > 0) {
    throw new InternalError(`${inUse} pages are in use by nobody`);
  }
}

/** The same where nothing is in flight and nothing can be scheduled: every sequence is paused, or something will wake the others. */
export function checkIdle(parts: SchedulerParts): void {
  const { pages, store, swap, waiting, running } = parts;
  const all = [...running, ...waiting];
  const stuck = all.find((sequence) => !sequence.paused);
  // Pages that are being read, for a saved conversation or on their way to host memory, wake the loop when that is done.
  const reading = store.pinned > 0 || swap?.reading;
  if (stuck && !reading && !all.some((sequence) => sequence.expectsWake)) {
    const { id, computed, tokens, state } = stuck;
    throw new InternalError(
      `sequence ${id} is stuck: ${state.kind}, ${computed} of ${tokens.length} tokens computed, ${pages.freePages} pages free`,
    );
  }
  checkSequences(parts);
}
