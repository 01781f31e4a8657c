/** A pair of neighbours that may become one. The lower rank goes first, then the one further left. */
interface Pair {
  readonly rank: number;
  readonly left: number;
  readonly right: number;
  /** Length of the merged symbol when the pair was found: another length means that one of the two has been merged away. */
  readonly length: number;
}

/** Up to so many symbols, looking at all pairs again is cheaper than a queue. */
const SHORT = 32;

/**
 * Greedy merging as SentencePiece's BPE does it: a linked list of symbols and a queue of neighbours, O(n log n).
 *
 * @param boundaries Starts of the first symbols in ascending order, followed by the text's end.
 * @param rankOf Rank of joining [start, middle) and [middle, end), or undefined where they do not join.
 * @returns Boundaries of the symbols that are left, in the same form.
 */
export function mergeSymbols(
  boundaries: ArrayLike<number>,
  rankOf: (start: number, middle: number, end: number) => number | undefined,
): number[] {
  const count = boundaries.length - 1;
  if (count <= SHORT) return mergeFew(boundaries, rankOf);
  const next = new Int32Array(count);
  const previous = new Int32Array(count);
  const ends = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    next[i] = i + 1;
    previous[i] = i - 1;
    ends[i] = boundaries[i + 1];
  }
  const merged = new Uint8Array(count);
  const queue = new PairQueue();
  const consider = (left: number, right: number) => {
    if (left < 0 || right >= count) return;
    const start = boundaries[left];
    const rank = rankOf(start, ends[left], ends[right]);
    if (rank !== undefined) queue.push({ rank, left, right, length: ends[right] - start });
  };
  for (let i = 0; i + 1 < count; i++) consider(i, i + 1);

  for (let pair = queue.pop(); pair; pair = queue.pop()) {
    const { left, right, length } = pair;
    if (merged[left] || merged[right] || ends[right] - boundaries[left] !== length) continue;
    merged[right] = 1;
    ends[left] = ends[right];
    next[left] = next[right];
    if (next[left] < count) previous[next[left]] = left;
    consider(previous[left], left);
    consider(left, next[left]);
  }

  const result: number[] = [];
  for (let i = 0; i < count; i = next[i]) result.push(boundaries[i]);
  result.push(boundaries[count]);
  return result;
}

function mergeFew(
  given: ArrayLike<number>,
  rankOf: (start: number, middle: number, end: number) => number | undefined,
): number[] {
  const boundaries: number[] = [];
  for (let i = 0; i < given.length; i++) boundaries.push(given[i]);
  const rankAt = (i: number): number =>
    i + 2 < boundaries.length
      ? (rankOf(boundaries[i], boundaries[i + 1], boundaries[i + 2]) ?? Number.POSITIVE_INFINITY)
      : Number.POSITIVE_INFINITY;
  const ranks: number[] = [];
  for (let i = 0; i + 1 < boundaries.length; i++) ranks.push(rankAt(i));
  for (;;) {
    let best = -1;
    let rank = Number.POSITIVE_INFINITY;
    for (let i = 0; i < ranks.length; i++) {
      if (ranks[i] < rank) {
        rank = ranks[i];
        best = i;
      }
    }
    if (best < 0) return boundaries;
    boundaries.splice(best + 1, 1);
    ranks.splice(best + 1, 1);
    ranks[best] = rankAt(best);
    if (best > 0) ranks[best - 1] = rankAt(best - 1);
  }
}

/** A binary heap. */
class PairQueue {
  readonly #heap: Pair[] = [];

  push(pair: Pair): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(pair);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!goesBefore(pair, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = pair;
  }

  pop(): Pair | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const moved = heap.pop();
    if (!moved || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && goesBefore(heap[child + 1], heap[child])) child++;
      if (!goesBefore(heap[child], moved)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = moved;
    return first;
  }
}

function goesBefore(a: Pair, b: Pair): boolean {
  return a.rank < b.rank || (a.rank === b.rank && a.left < b.left);
}
