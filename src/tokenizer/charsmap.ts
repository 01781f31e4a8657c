import { InvalidFileError } from '../errors';

/**
 * SentencePiece's precompiled normalisation: a compact double array (Yata et al. 2007, as the library darts-clone lays it out) from byte
 * sequences to places in a list of replacements that end in zero bytes. Layout: u32 size of the array in bytes, the array, the list.
 * @throws InvalidFileError when it leads out of its own bounds; `where` names it.
 */
export class CharsMap {
  readonly #array: Uint32Array;
  readonly #replacements: Uint8Array;
  readonly #where: string;

  constructor(bytes: Uint8Array, where: string) {
    this.#where = where;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const size = bytes.length < 4 ? 0 : view.getUint32(0, true);
    if (bytes.length < 4 || size % 4 !== 0 || 4 + size >= bytes.length) {
      throw this.#broken(`says that its array has ${size} bytes, and has ${bytes.length} in all`);
    }
    this.#array = Uint32Array.from({ length: size / 4 }, (_, i) => view.getUint32(4 + 4 * i, true));
    this.#replacements = bytes.subarray(4 + size);
  }

  /** The replacement of the longest sequence that begins at `start`, and that sequence's length; undefined where nothing is to be replaced. */
  match(input: Uint8Array, start: number): { readonly length: number; readonly replacement: Uint8Array } | undefined {
    if (this.#array.length === 0) return undefined;
    let node = baseOf(this.#unit(0));
    let length = 0;
    let place = 0;
    for (let at = start; at < input.length && input[at] !== 0; at++) {
      node ^= input[at];
      const unit = this.#unit(node);
      if ((unit & LABEL) >>> 0 !== input[at]) break;
      node ^= baseOf(unit);
      if ((unit >>> 8) & 1) {
        length = at - start + 1;
        place = this.#unit(node) & 0x7fffffff;
      }
    }
    return length === 0 ? undefined : { length, replacement: this.#replacementAt(place) };
  }

  #unit(node: number): number {
    if (node >>> 0 >= this.#array.length) throw this.#broken(`leads to unit ${node >>> 0} of ${this.#array.length}`);
    return this.#array[node];
  }

  #replacementAt(place: number): Uint8Array {
    const end = this.#replacements.indexOf(0, place);
    if (end < 0) throw this.#broken(`has no replacement that begins at ${place} and ends`);
    return this.#replacements.subarray(place, end);
  }

  #broken(problem: string): InvalidFileError {
    return new InvalidFileError(`${this.#where}: the normalisation table ${problem}`, {
      details: { where: this.#where },
    });
  }
}

/** Bit 31 marks a unit that holds a value, which no byte leads to. */
const LABEL = 0x800000ff;

function baseOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
