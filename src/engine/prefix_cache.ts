import type { PageContents } from './block_manager';
import { NO_PAGE } from './runner';

/** What a page holds: the tokens of its positions, after those of the pages above it. */
interface CachedPage {
  readonly page: number;
  /** The page of the layers that slide, while there is one. */
  sliding: number | undefined;
  /** As many as a page has positions, or fewer on the last page of a sequence that ended. */
  readonly tokens: readonly number[];
  readonly parent: PrefixNode;
  readonly children: CachedPage[];
}

interface PrefixNode {
  readonly children: CachedPage[];
}

export interface PrefixMatch {
  /** The pages that hold [0, positions), in order. */
  readonly pages: readonly number[];
  /** Of layers that slide: NO_PAGE up to what a row at `positions` sees. */
  readonly slidingPages: readonly number[];
  readonly positions: number;
}

/**
 * Which pages hold which tokens: a tree of pages, each under the page that comes before it in a sequence (a hash chain without the
 * hashes, so that nothing can collide). Knows no owners: how long a page lives is the block manager's business, which forgets a page
 * here before it is written again. Where layers slide in a pool of their own, a page of theirs may be forgotten while the other is known:
 * a sequence can go on only where all that its next row sees is there.
 */
export class PrefixCache {
  #root: PrefixNode = { children: [] };
  readonly #byPage = new Map<number, CachedPage>();
  readonly #bySliding = new Map<number, CachedPage>();
  /** Where each owner's next page goes, and how many it has recorded. */
  readonly #cursors = new Map<number, { node: PrefixNode; pages: number }>();

  /** What is known of the pages of layers that slide. */
  readonly sliding: PageContents = {
    has: (page) => this.#bySliding.has(page),
    forget: (page) => {
      const cached = this.#bySliding.get(page);
      if (!cached) return;
      this.#bySliding.delete(page);
      cached.sliding = undefined;
    },
  };
  /** Called with the page of layers that slide when what it belongs to is forgotten. */
  onForgotten: ((page: number) => void) | undefined;

  /** `window`: of the layers that slide, where they have a pool of their own. */
  constructor(
    readonly pageSize: number,
    private readonly window?: number,
  ) {}

  get size(): number {
    return this.#byPage.size;
  }

  has(page: number): boolean {
    return this.#byPage.has(page);
  }

  /**
   * The longest known beginning of `tokens`. Of its last page only a part may match; that part counts when it is all that the page
   * holds (a sequence that goes on where another ended), all that is asked for (the same again), or a quarter of a page: less is not
   * worth a page copy. Where pages of layers that slide are missing, the longest one that can be continued.
   */
  match(tokens: readonly number[]): PrefixMatch {
    const { chain, positions } = this.#longest(tokens);
    if (this.window === undefined) return { pages: chain.map(({ page }) => page), slidingPages: [], positions };
    // The last page may be used in part.
    for (let at = positions; at > 0; at = Math.floor((at - 1) / this.pageSize) * this.pageSize) {
      const count = Math.ceil(at / this.pageSize);
      const first = Math.floor(Math.max(0, at - this.window + 1) / this.pageSize);
      const needed = chain.slice(first, count);
      if (needed.some(({ sliding }) => sliding === undefined)) continue;
      return {
        pages: chain.slice(0, count).map(({ page }) => page),
        slidingPages: chain.slice(0, count).map(({ sliding }, i) => (i < first ? NO_PAGE : (sliding ?? NO_PAGE))),
        positions: at,
      };
    }
    return { pages: [], slidingPages: [], positions: 0 };
  }

  #longest(tokens: readonly number[]): { readonly chain: readonly CachedPage[]; readonly positions: number } {
    const chain: CachedPage[] = [];
    let node = this.#root;
    for (let at = 0; ; at += this.pageSize) {
      let best: CachedPage | undefined;
      let length = 0;
      for (const child of node.children) {
        const common = commonLength(child.tokens, tokens, at);
        if (common > length) {
          best = child;
          length = common;
        }
      }
      if (!best) return { chain, positions: at };
      if (length === this.pageSize) {
        chain.push(best);
        node = best;
        continue;
      }
      const whole = length === best.tokens.length || at + length === tokens.length;
      const worthwhile = whole || length >= this.pageSize / 4;
      if (worthwhile) chain.push(best);
      return { chain, positions: worthwhile ? at + length : at };
    }
  }

  /**
   * `owner`'s `pages` hold the first `positions` of `tokens`: remembers those that are full, and with `ended` also the last one. A page
   * whose content another page has already is left out. `slidingPages`: of layers that slide, as far as the owner has them.
   */
  record(
    owner: number,
    tokens: readonly number[],
    positions: number,
    pages: readonly number[],
    slidingPages: readonly number[] = [],
    ended = false,
  ): void {
    let cursor = this.#cursors.get(owner);
    if (!cursor) this.#cursors.set(owner, (cursor = { node: this.#root, pages: 0 }));
    for (let at = cursor.pages * this.pageSize; at < positions; at += this.pageSize) {
      const end = Math.min(at + this.pageSize, positions);
      if (end - at < this.pageSize && !ended) break;
      const sliding = slidingPages[cursor.pages] ?? NO_PAGE;
      cursor.node = this.#insert(cursor.node, tokens.slice(at, end), pages[cursor.pages], sliding);
      cursor.pages++;
    }
    if (ended) this.#cursors.delete(owner);
  }

  /** The owner's pages are no longer its own, or it begins again. */
  leave(owner: number): void {
    this.#cursors.delete(owner);
  }

  /** The page is about to get another content. What is below it can no longer be found and goes when its own turn comes. */
  forget(page: number): void {
    const cached = this.#byPage.get(page);
    if (!cached) return;
    this.#byPage.delete(page);
    const { children } = cached.parent;
    children.splice(children.indexOf(cached), 1);
    const { sliding } = cached;
    if (sliding === undefined) return;
    this.sliding.forget(sliding);
    this.onForgotten?.(sliding);
  }

  #insert(parent: PrefixNode, tokens: readonly number[], page: number, sliding: number): PrefixNode {
    const known = parent.children.find((child) => commonLength(child.tokens, tokens, 0) === tokens.length);
    if (known) {
      // A part of what the page is to hold is not enough.
      if (known.sliding === undefined && known.tokens.length === tokens.length) this.#keepSliding(known, sliding);
      return known;
    }
    // The same page with a longer content: a sequence that went on where another had ended.
    this.forget(page);
    const cached: CachedPage = { page, sliding: undefined, tokens, parent, children: [] };
    parent.children.push(cached);
    this.#byPage.set(page, cached);
    this.#keepSliding(cached, sliding);
    return cached;
  }

  #keepSliding(cached: CachedPage, page: number): void {
    if (page === NO_PAGE) return;
    this.sliding.forget(page);
    cached.sliding = page;
    this.#bySliding.set(page, cached);
  }
}

/** How many of `tokens` from `at` on are those of the page. */
function commonLength(page: readonly number[], tokens: readonly number[], at: number): number {
  const most = Math.min(page.length, tokens.length - at);
  let length = 0;
  while (length < most && page[length] === tokens[at + length]) length++;
  return length;
}
