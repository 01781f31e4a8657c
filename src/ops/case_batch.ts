/** Batches for op cases: segments at chosen positions on pages in a shuffled physical order. */
import { type Batch, GREEDY, NO_PAGE, type Segment } from '../engine/runner';
import type { OpCase } from './op';
import { PAGE_SIZE } from './step_layout';

export interface CaseSegment {
  /** Position of the first row. */
  readonly position: number;
  readonly rows: number;
}

/** A seeded generator of integers in [0, bound) (xorshift32, Marsaglia 2003). */
function seededIntegers(seed: number): (bound: number) => number {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % bound;
  };
}

function shuffledPages(count: number, seed: number): number[] {
  const integer = seededIntegers(seed);
  const pages = Array.from({ length: count }, (_, page) => page);
  for (let i = count - 1; i > 0; i--) {
    const j = integer(i + 1);
    [pages[i], pages[j]] = [pages[j], pages[i]];
  }
  return pages;
}

interface CaseBatch {
  readonly batch: Batch;
  readonly numPages: number;
  readonly sliding: OpCase['sliding'];
  readonly rows: number;
  readonly maxLength: number;
}

/**
 * One segment per entry, slots in reverse order, no two segments on one page; a few pages of the pool stay unused. With a `window` also a
 * pool of pages for caches that keep no more than that, in which segments have left what their first row does not see.
 */
export function caseBatch(segments: readonly CaseSegment[], seed: number, window?: number): CaseBatch {
  const needed = segments.map(({ position, rows }) => Math.ceil((position + rows) / PAGE_SIZE));
  const numPages = needed.reduce((sum, count) => sum + count, 3);
  const pages = shuffledPages(numPages, seed);
  const integer = seededIntegers(seed + 1);
  const left = segments.map(({ position }) =>
    window === undefined ? 0 : Math.floor(Math.max(0, position - window + 1) / PAGE_SIZE),
  );
  const slidingPages = shuffledPages(
    needed.reduce((sum, count, i) => sum + count - left[i], 2),
    seed + 2,
  );
  let page = 0;
  let slidingPage = 0;
  const made = segments.map(({ position, rows }, i): Segment => {
    const first = page;
    page += needed[i];
    const firstSliding = slidingPage;
    slidingPage += needed[i] - left[i];
    return {
      slot: segments.length - 1 - i,
      tokens: Array.from({ length: rows }, () => integer(1000)),
      position,
      pages: pages.slice(first, page),
      ...(window !== undefined && {
        slidingPages: [
          ...Array.from({ length: left[i] }, () => NO_PAGE),
          ...slidingPages.slice(firstSliding, slidingPage),
        ],
      }),
      sample: 'none',
      sampling: GREEDY,
    };
  });
  return {
    batch: { segments: made },
    numPages,
    sliding: window === undefined ? undefined : { window, numPages: slidingPages.length },
    rows: segments.reduce((sum, segment) => sum + segment.rows, 0),
    maxLength: Math.max(...segments.map(({ position, rows }) => position + rows)),
  };
}

/** One segment of `rows` rows at position 0. */
export function rowsBatch(rows: number, seed: number): ReturnType<typeof caseBatch> {
  return caseBatch([{ position: 0, rows }], seed);
}
