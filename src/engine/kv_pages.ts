import { InternalError } from '../errors';
import { BlockManager, type PageCopy } from './block_manager';
import type { PrefixCache, PrefixMatch } from './prefix_cache';
import { type KvGroup, NO_PAGE, type RunnerLimits, type Segment } from './runner';

/** Positions [from, to) of an owner. */
export interface OwnedRange {
  readonly owner: number;
  readonly from: number;
  readonly to: number;
}

/** Page copies that must run before the next step. */
export type KvCopies = Readonly<Record<KvGroup, PageCopy[]>>;

export type KvLimits = Pick<RunnerLimits, 'numPages' | 'pageSize' | 'maxRows' | 'sliding'>;

/** Rows that may follow those of a step before pages are left behind: of a repeated step, or of drafts. */
const ROWS_AHEAD = 16;

/** Pages of sliding layers that one sequence needs at most: what the rows of a step see and write, begun anywhere in a page. */
export function slidingPagesFor(window: number, maxRows: number, pageSize: number): number {
  return Math.ceil((window - 1 + maxRows + ROWS_AHEAD) / pageSize) + 1;
}

/**
 * The pages of every owner in both groups: layers that see everything need all positions, layers that slide only those that the next
 * row still sees. Sliding pages are taken step by step and left behind when the window has passed them, so that their pool is smaller.
 */
export class KvPages {
  readonly #full: BlockManager;
  readonly #sliding: BlockManager | undefined;
  readonly #window: number;

  constructor(
    private readonly limits: KvLimits,
    private readonly prefixes?: PrefixCache,
  ) {
    const { numPages, pageSize, sliding, maxRows } = limits;
    this.#full = new BlockManager(numPages, pageSize, prefixes);
    this.#window = sliding?.window ?? Number.POSITIVE_INFINITY;
    if (!sliding) return;
    const least = slidingPagesFor(sliding.window, maxRows, pageSize);
    if (sliding.numPages < least) {
      throw new InternalError(
        `${sliding.numPages} pages of sliding layers: a window of ${sliding.window} and ${maxRows} rows take ${least}`,
      );
    }
    const pages = new BlockManager(sliding.numPages, pageSize, prefixes?.sliding);
    this.#sliding = pages;
    if (prefixes) prefixes.onForgotten = (page) => pages.discard(page);
  }

  get pageSize(): number {
    return this.limits.pageSize;
  }

  get pagesInUse(): number {
    return this.#full.pagesInUse;
  }

  get slidingPagesInUse(): number {
    return this.#sliding?.pagesInUse ?? 0;
  }

  get freePages(): number {
    return this.#full.freePages;
  }

  has(owner: number): boolean {
    return this.#full.has(owner);
  }

  /** Pages of the owner in layers that see everything, shared ones included. */
  pagesOf(owner: number): number {
    return this.#full.pagesOf(owner);
  }

  /** The owner's block tables, as far as they cover [0, positions). */
  tables(owner: number, positions: number): Pick<Segment, 'pages' | 'slidingPages'> {
    const pages = this.#full.table(owner, positions);
    return this.#sliding ? { pages, slidingPages: this.#sliding.table(owner, positions) } : { pages };
  }

  /** The pages that hold [0, positions), and of layers that slide those that a row at `positions` sees. */
  seen(owner: number, positions: number): { readonly pages: number[]; readonly slidingPages: number[] } {
    const first = this.#firstSeen(positions) / this.pageSize;
    const slidingPages = this.#sliding?.table(owner, positions).slice(first) ?? [];
    return { pages: this.#full.table(owner, positions), slidingPages };
  }

  /** Whether `allocate` can serve all of these. */
  fits(ranges: readonly OwnedRange[]): boolean {
    return [this.#full, this.#sliding].every((manager) => {
      if (!manager) return true;
      const missing = ranges.reduce((sum, { owner, from, to }) => sum + manager.missing(owner, from, to), 0);
      return missing <= manager.freePages;
    });
  }

  /** Whether `reserve` can. */
  canReserve({ owner, from, to }: OwnedRange): boolean {
    if (this.#full.missing(owner, from, to) > this.#full.freePages) return false;
    const near = this.#near(from, to);
    return !this.#sliding || this.#sliding.missing(owner, from, near) <= this.#sliding.freePages;
  }

  /** Whether rows [from, to) can be computed in steps of maxRows, with `leave` before each. */
  canCompute({ owner, from, to }: OwnedRange): boolean {
    if (this.#full.missing(owner, from, to) > this.#full.freePages) return false;
    if (!this.#sliding) return true;
    const { maxRows, pageSize } = this.limits;
    const more = slidingPagesFor(this.#window, maxRows, pageSize) - this.#sliding.held(owner);
    return Math.min(this.#sliding.missing(owner, from, to), Math.max(0, more)) <= this.#sliding.freePages;
  }

  /** Makes positions [from, to) writable; adds the copies that have to run before the next step. */
  allocate({ owner, from, to }: OwnedRange, copies?: KvCopies): void {
    take(this.#full.allocate(owner, from, to), copies?.full);
    if (this.#sliding) take(this.#sliding.allocate(owner, from, to), copies?.sliding);
  }

  /** The same for a sequence that starts: of layers that slide only what its first step needs. */
  reserve({ owner, from, to }: OwnedRange, copies: KvCopies): void {
    take(this.#full.allocate(owner, from, to), copies.full);
    if (this.#sliding) take(this.#sliding.allocate(owner, from, this.#near(from, to)), copies.sliding);
  }

  /** Whether `leave` would give something back. */
  leaves(owner: number, position: number): boolean {
    return this.#sliding?.leaves(owner, Math.max(0, position - this.#window + 1)) ?? false;
  }

  /** Rows come from `position` on: gives back the pages of sliding layers that none of them sees. */
  leave(owner: number, position: number): void {
    this.#sliding?.leave(owner, Math.max(0, position - this.#window + 1));
  }

  /** Whether the owner has all that a row at `position` sees. */
  canContinue(owner: number, position: number): boolean {
    return this.#sliding?.covers(owner, Math.max(0, position - this.#window + 1), position) ?? true;
  }

  /** A new owner `child` that shares the pages of `parent` which hold [0, positions). */
  fork(parent: number, child: number, positions: number): void {
    this.#full.fork(parent, child, positions);
    this.#sliding?.fork(parent, child, positions);
  }

  /** A new owner of what the prefix cache has. */
  adopt(owner: number, { pages, slidingPages }: Pick<PrefixMatch, 'pages' | 'slidingPages'>): void {
    this.#full.adopt(owner, pages);
    this.#sliding?.adopt(owner, slidingPages);
  }

  /** Takes back the positions from `positions` on, as far as the owner has pages for them. */
  truncate(owner: number, positions: number): void {
    for (const manager of [this.#full, this.#sliding]) {
      if (manager && manager.pagesOf(owner) > manager.pagesFor(positions)) manager.truncate(owner, positions);
    }
  }

  /** Whether there are pages to `place` so many positions, and for rows up to `to` behind them. */
  canPlace(positions: number, to = positions): boolean {
    if (this.#full.pagesFor(to) > this.#full.freePages) return false;
    const rows = this.#near(positions, to) - this.#firstSeen(positions);
    return !this.#sliding || this.#sliding.pagesFor(rows) <= this.#sliding.freePages;
  }

  /** A new owner of pages that are to hold [0, positions), of layers that slide what a row at `positions` sees: `seen` says which. */
  place(owner: number, positions: number): void {
    const from = this.#firstSeen(positions);
    this.#full.allocate(owner, 0, positions);
    this.#sliding?.adopt(
      owner,
      Array.from({ length: from / this.pageSize }, () => NO_PAGE),
    );
    this.#sliding?.allocate(owner, from, positions);
  }

  /** Puts what the owner has into the prefix cache: see PrefixCache.record. */
  record(owner: number, tokens: readonly number[], positions: number, ended = false): void {
    const full = this.#full.table(owner, positions);
    const covered = Math.min(positions, (this.#sliding?.pagesOf(owner) ?? 0) * this.pageSize);
    this.prefixes?.record(owner, tokens, positions, full, this.#sliding?.table(owner, covered), ended);
  }

  free(owner: number): void {
    this.#full.free(owner);
    this.#sliding?.free(owner);
  }

  /** Proves that no page of either group is lost or shared wrongly; throws InternalError otherwise. */
  checkIntegrity(): void {
    this.#full.checkIntegrity();
    this.#sliding?.checkIntegrity();
  }

  #near(from: number, to: number): number {
    return Math.min(to, from + this.limits.maxRows);
  }

  /** Beginning of the page that holds the first position which a row at `position` sees of layers that slide. */
  #firstSeen(position: number): number {
    if (!this.#sliding) return 0;
    const first = Math.max(0, position - this.#window + 1);
    return first - (first % this.pageSize);
  }
}

function take(copies: readonly PageCopy[], into: PageCopy[] | undefined): void {
  if (copies.length > 0 && !into) throw new InternalError('pages are copied where no copies were expected');
  into?.push(...copies);
}

export function noCopies(): KvCopies {
  return { full: [], sliding: [] };
}

export function hasCopies({ full, sliding }: KvCopies): boolean {
  return full.length + sliding.length > 0;
}
