/** What a page holds: the tokens of its positions, after those of the pages above it. */
interface CachedPage {
  readonly page: number;
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
  readonly positions: number;
}

/**
 * Which pages hold which tokens: a tree of pages, each under the page that comes before it in a sequence (a hash chain without the
 * hashes, so that nothing can collide). Knows no owners: how long a page lives is the block manager's business, which forgets a page
 * here before it is written again.
 */
export class PrefixCache {
  #root: PrefixNode = { children: [] };
  readonly #byPage = new Map<number, CachedPage>();
  /** Where each owner's next page goes, and how many it has recorded. */
  readonly #cursors = new Map<number, { node: PrefixNode; pages: number }>();

  constructor(readonly pageSize: number) {}

  get size(): number {
    return this.#byPage.size;
  }

  has(page: number): boolean {
    return this.#byPage.has(page);
  }

  /**
   * The longest known beginning of `tokens`. Of its last page only a part may match; that part counts when it is all that the page
   * holds (a sequence that goes on where another ended), all that is asked for (the same again), or a quarter of a page: less is not
   * worth a page copy.
   */
  match(tokens: readonly number[]): PrefixMatch {
    const pages: number[] = [];
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
      if (!best) return { pages, positions: at };
      if (length === this.pageSize) {
        pages.push(best.page);
        node = best;
        continue;
      }
      const whole = length === best.tokens.length || at + length === tokens.length;
      const worthwhile = whole || length >= this.pageSize / 4;
      if (worthwhile) pages.push(best.page);
      return { pages, positions: worthwhile ? at + length : at };
    }
  }

  /**
   * `owner`'s `pages` hold the first `positions` of `tokens`: remembers those that are full, and with `ended` also the last one. A page
   * whose content another page has already is left out.
   */
  record(owner: number, tokens: readonly number[], positions: number, pages: readonly number[], ended = false): void {
    let cursor = this.#cursors.get(owner);
    if (!cursor) this.#cursors.set(owner, (cursor = { node: this.#root, pages: 0 }));
    for (let at = cursor.pages * this.pageSize; at < positions; at += this.pageSize) {
      const end = Math.min(at + this.pageSize, positions);
      if (end - at < this.pageSize && !ended) break;
      cursor.node = this.#insert(cursor.node, tokens.slice(at, end), pages[cursor.pages]);
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
  }

  #insert(parent: PrefixNode, tokens: readonly number[], page: number): PrefixNode {
    const known = parent.children.find((child) => commonLength(child.tokens, tokens, 0) === tokens.length);
    if (known) return known;
    // The same page with a longer content: a sequence that went on where another had ended.
    this.forget(page);
    const cached: CachedPage = { page, tokens, parent, children: [] };
    parent.children.push(cached);
    this.#byPage.set(page, cached);
    return cached;
  }
}

/** How many of `tokens` from `at` on are those of the page. */
function commonLength(page: readonly number[], tokens: readonly number[], at: number): number {
  const most = Math.min(page.length, tokens.length - at);
  let length = 0;
  while (length < most && page[length] === tokens[at + length]) length++;
  return length;
}
