import { SPACE } from './spaces';

/** The merges of a BPE vocabulary: which neighbours join, and in what order. Found by the text that they become, which costs one look-up. */
export class MergeList {
  /** Rank of the best merge that makes a text. */
  readonly #first = new Map<string, number>();
  readonly #leftLengths: Uint16Array;
  /** Per merge: the rank of another one that makes the same text of other parts, or 0. */
  readonly #others: Uint32Array;
  #longest = 0;
  #crossesSpaces = false;

  /** @param count Upper bound of the ranks. */
  constructor(count: number) {
    this.#leftLengths = new Uint16Array(count);
    this.#others = new Uint32Array(count);
  }

  /** Length of the longest text that a merge makes. */
  get longest(): number {
    return this.#longest;
  }

  /** Whether something that is no space merges with a space (`SPACE`) after it. */
  get crossesSpaces(): boolean {
    return this.#crossesSpaces;
  }

  /** Merges come in the order of their ranks; of two equal ones the first counts. */
  add(left: string, right: string, rank: number): void {
    const text = left + right;
    this.#longest = Math.max(this.#longest, text.length);
    this.#crossesSpaces ||= right.startsWith(SPACE) && !left.endsWith(SPACE);
    this.#leftLengths[rank] = left.length;
    const first = this.#first.get(text);
    if (first === undefined) {
      this.#first.set(text, rank);
      return;
    }
    let last = first;
    for (;;) {
      if (this.#leftLengths[last] === left.length) return;
      if (this.#others[last] === 0) break;
      last = this.#others[last];
    }
    this.#others[last] = rank;
  }

  /** The rank at which the first `leftLength` units of a text join the rest of it. */
  rankOf(text: string, leftLength: number): number | undefined {
    let rank = this.#first.get(text);
    while (rank !== undefined && this.#leftLengths[rank] !== leftLength) rank = this.#others[rank] || undefined;
    return rank;
  }
}
