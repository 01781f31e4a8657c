import { InternalError } from '../errors';
import { NO_PAGE } from './runner';

/** A page copy that must run before the next step: `to` gets what `from` holds. */
export type PageCopy = readonly [from: number, to: number];

/** Knows what pages hold, so that one without an owner may be wanted again; see PrefixCache. */
export interface PageContents {
  has(page: number): boolean;
  forget(page: number): void;
}

/**
 * Which page of the KV cache belongs to whom. Owners are named by number; pages are reference counted, and a page that
 * several owners share is copied when one of them is about to write into it. Holds no bytes: those are the runner's.
 *
 * A page without an owner whose content is known is idle: it counts as free, but is handed out only when no other page is left, the
 * one that was used longest ago first, and until then it can be adopted with its content.
 *
 * A page that is freed here may be handed out again at once, even while steps that use it are in flight: steps and
 * copies execute in the order in which they were submitted.
 */
export class BlockManager {
  readonly #free: number[];
  /** Least recently used first. */
  readonly #idle = new Set<number>();
  readonly #references: Uint32Array;
  readonly #tables = new Map<number, number[]>();

  constructor(
    readonly numPages: number,
    readonly pageSize: number,
    private readonly contents?: PageContents,
  ) {
    this.#free = Array.from({ length: numPages }, (_, i) => numPages - 1 - i);
    this.#references = new Uint32Array(numPages);
  }

  get freePages(): number {
    return this.#free.length + this.#idle.size;
  }

  get pagesInUse(): number {
    return this.numPages - this.freePages;
  }

  pagesFor(positions: number): number {
    return Math.ceil(positions / this.pageSize);
  }

  has(owner: number): boolean {
    return this.#tables.has(owner);
  }

  /** Length of the owner's block table: shared pages and such as it has left included. */
  pagesOf(owner: number): number {
    return this.#tables.get(owner)?.length ?? 0;
  }

  /** Pages that the owner has not left, shared ones included. */
  held(owner: number): number {
    return this.#tableOf(owner).filter((page) => page !== NO_PAGE).length;
  }

  /** A copy of the owner's block table, as far as it covers [0, positions). */
  table(owner: number, positions: number): number[] {
    const pages = this.#tableOf(owner);
    const count = this.pagesFor(positions);
    if (count > pages.length) {
      throw new InternalError(
        `owner ${owner} has ${pages.length} pages, ${count} are needed for ${positions} positions`,
      );
    }
    return pages.slice(0, count);
  }

  /** Free pages that `allocate` with the same arguments would take. */
  missing(owner: number, from: number, to: number): number {
    const pages = this.#tables.get(owner) ?? [];
    let count = Math.max(0, this.pagesFor(to) - pages.length);
    for (const index of this.#written(pages, from, to)) if (this.#references[pages[index]] > 1) count++;
    return count;
  }

  /**
   * Makes positions [from, to) writable: adds pages up to `to`, and replaces shared pages in the range by copies of the owner's own.
   * Returns the copies to run before the next step. Throws InternalError when pages run out; ask `missing` first.
   */
  allocate(owner: number, from: number, to: number): PageCopy[] {
    const missing = this.missing(owner, from, to);
    if (missing > this.freePages) {
      throw new InternalError(`owner ${owner} needs ${missing} pages, ${this.freePages} of ${this.numPages} are free`);
    }
    let pages = this.#tables.get(owner);
    if (!pages) this.#tables.set(owner, (pages = []));
    const copies: PageCopy[] = [];
    for (const index of this.#written(pages, from, to)) {
      const shared = pages[index];
      if (this.#references[shared] === 1) {
        this.contents?.forget(shared);
        continue;
      }
      const own = this.#take();
      this.#references[shared]--;
      pages[index] = own;
      copies.push([shared, own]);
    }
    while (pages.length * this.pageSize < to) pages.push(this.#take());
    return copies;
  }

  /** A new owner `child` that shares the pages of `parent` which hold [0, positions). */
  fork(parent: number, child: number, positions: number): void {
    this.adopt(child, this.table(parent, positions));
  }

  /** A new owner of pages that others have, or that are idle; NO_PAGE where it has none. */
  adopt(owner: number, pages: readonly number[]): void {
    if (this.#tables.has(owner)) throw new InternalError(`owner ${owner} has pages already`);
    for (const page of pages) {
      if (page === NO_PAGE) continue;
      if (this.#references[page] === 0 && !this.#idle.delete(page))
        throw new InternalError(`page ${page} holds nothing`);
      this.#references[page]++;
    }
    this.#tables.set(owner, [...pages]);
  }

  /** Gives back the pages that hold only positions before `position`; the owner keeps its others. */
  leave(owner: number, position: number): void {
    const pages = this.#tableOf(owner);
    const end = Math.min(pages.length, Math.floor(position / this.pageSize));
    // What is left lies in front of what is kept.
    for (let index = end - 1; index >= 0 && pages[index] !== NO_PAGE; index--) {
      this.#release(pages[index]);
      pages[index] = NO_PAGE;
    }
  }

  /** True when `leave` would give something back. */
  leaves(owner: number, position: number): boolean {
    const page = this.#tableOf(owner)[Math.floor(position / this.pageSize) - 1];
    return page !== undefined && page !== NO_PAGE;
  }

  /** True when the owner has every page that holds something of [from, to). */
  covers(owner: number, from: number, to: number): boolean {
    const pages = this.#tables.get(owner) ?? [];
    for (let index = Math.floor(from / this.pageSize); index < this.pagesFor(to); index++) {
      if (index >= pages.length || pages[index] === NO_PAGE) return false;
    }
    return true;
  }

  /** What the page holds is not wanted any more: if nobody has it, it is free. */
  discard(page: number): void {
    if (this.#idle.delete(page)) this.#free.push(page);
  }

  /** Takes back the positions from `positions` on: pages past them are no longer the owner's. */
  truncate(owner: number, positions: number): void {
    const pages = this.#tableOf(owner);
    const keep = this.pagesFor(positions);
    if (keep > pages.length) {
      throw new InternalError(
        `owner ${owner} has ${pages.length} pages, truncating to ${positions} positions keeps ${keep}`,
      );
    }
    for (const page of pages.splice(keep).reverse()) if (page !== NO_PAGE) this.#release(page);
  }

  /** Gives all pages of the owner back. Throws InternalError for an owner without pages, also one that was freed already. */
  free(owner: number): void {
    this.truncate(owner, 0);
    this.#tables.delete(owner);
  }

  /** Proves that every page is free, idle, or counted once per owner that has it; throws InternalError otherwise. */
  checkIntegrity(): void {
    const expected = new Uint32Array(this.numPages);
    for (const [owner, pages] of this.#tables) {
      const held = pages.filter((page) => page !== NO_PAGE);
      if (new Set(held).size !== held.length)
        throw new InternalError(`owner ${owner} has a page twice: ${pages.join(', ')}`);
      for (const page of held) expected[page]++;
    }
    const free = new Set(this.#free);
    if (free.size !== this.#free.length) throw new InternalError('a page is free twice');
    for (const page of this.#idle) {
      if (free.has(page)) throw new InternalError(`page ${page} is free and idle`);
      if (!this.contents?.has(page)) throw new InternalError(`page ${page} is idle and holds nothing known`);
      free.add(page);
    }
    for (let page = 0; page < this.numPages; page++) {
      const counted = this.#references[page];
      if (counted !== expected[page]) {
        throw new InternalError(`page ${page} has ${expected[page]} owners, ${counted} are counted`);
      }
      if (free.has(page) !== (counted === 0)) {
        throw new InternalError(`page ${page} has ${counted} owners and is ${free.has(page) ? 'free' : 'lost'}`);
      }
    }
  }

  /** Indices of the present pages that a write to [from, to) touches. */
  *#written(pages: readonly number[], from: number, to: number): Generator<number> {
    const end = Math.min(pages.length, this.pagesFor(to));
    for (let index = Math.floor(from / this.pageSize); index < end; index++) {
      if (pages[index] === NO_PAGE)
        throw new InternalError(`positions from ${from} on are written where pages were left`);
      yield index;
    }
  }

  #tableOf(owner: number): number[] {
    const pages = this.#tables.get(owner);
    if (!pages) throw new InternalError(`owner ${owner} has no pages, or they were freed already`);
    return pages;
  }

  #take(): number {
    let page = this.#free.pop();
    if (page === undefined) {
      [page] = this.#idle;
      if (page === undefined) throw new InternalError(`no page of ${this.numPages} is free`);
      this.#idle.delete(page);
      this.contents?.forget(page);
    }
    this.#references[page] = 1;
    return page;
  }

  #release(page: number): void {
    if (this.#references[page] === 0) throw new InternalError(`page ${page} was freed twice`);
    if (--this.#references[page] > 0) return;
    if (this.contents?.has(page)) this.#idle.add(page);
    else this.#free.push(page);
  }
}
