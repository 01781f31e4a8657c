import { InvalidFileError } from '../errors';

/** Characters of all tokens; those of the largest vocabularies have two million. */
const MOST_UNITS = 2 ** 23;

/** A set of texts with a number each, walked unit by unit (UTF-16): one hash table over typed arrays, for some millions of units. */
export class Trie {
  readonly #mask: number;
  /** Per place of the table: the node and the unit that lead to `#children`; 0 in `#children` means that the place is free. */
  readonly #nodes: Uint32Array;
  readonly #units: Uint16Array;
  readonly #children: Uint32Array;
  /** Per node: its text's number + 1, or 0. */
  readonly #values: Uint32Array;

  constructor(entries: Iterable<readonly [text: string, value: number]>) {
    const list = [...entries];
    const units = list.reduce((sum, [text]) => sum + text.length, 0);
    if (units > MOST_UNITS) {
      throw new InvalidFileError(`the vocabulary: its tokens have ${units} characters, more than ${MOST_UNITS}`);
    }
    const size = 2 ** Math.ceil(Math.log2(2 * units + 2));
    this.#mask = size - 1;
    this.#nodes = new Uint32Array(size);
    this.#units = new Uint16Array(size);
    this.#children = new Uint32Array(size);
    this.#values = new Uint32Array(units + 1);
    let count = 1;
    for (const [text, value] of list) {
      let node = 0;
      for (let at = 0; at < text.length; at++) {
        const place = this.#placeOf(node, text.charCodeAt(at));
        if (this.#children[place] === 0) {
          this.#nodes[place] = node;
          this.#units[place] = text.charCodeAt(at);
          this.#children[place] = count++;
        }
        node = this.#children[place];
      }
      this.#values[node] = value + 1;
    }
  }

  /** The node behind a unit; 0, which is the root and leads nowhere back, when there is none. */
  next(node: number, unit: number): number {
    return this.#children[this.#placeOf(node, unit)];
  }

  valueOf(node: number): number | undefined {
    const value = this.#values[node];
    return value === 0 ? undefined : value - 1;
  }

  #placeOf(node: number, unit: number): number {
    let place = (Math.imul(node, 0x9e3779b1) ^ Math.imul(unit, 0x85ebca6b)) >>> 0;
    place = (place ^ (place >>> 15)) & this.#mask;
    while (this.#children[place] !== 0 && (this.#nodes[place] !== node || this.#units[place] !== unit)) {
      place = (place + 1) & this.#mask;
    }
    return place;
  }
}
