import { maskWords } from '../ops/step_layout';

/** Masks over one vocabulary: bit t % 32 of word t / 32 is token t's. */
export class TokenMasks {
  readonly #text: Uint32Array;
  readonly #end: Uint32Array;

  /** `isText`: tokens that text is made of. */
  constructor(
    readonly vocabSize: number,
    isText: (token: number) => boolean,
    stopTokens: ReadonlySet<number>,
  ) {
    this.#text = new Uint32Array(maskWords(vocabSize));
    this.#end = new Uint32Array(maskWords(vocabSize));
    for (let t = 0; t < vocabSize; t++) {
      const words = stopTokens.has(t) ? this.#end : isText(t) ? this.#text : undefined;
      if (words) words[t >>> 5] |= 1 << (t & 31);
    }
  }

  /** A copy without what is neither text nor an end. */
  only(words: Int32Array): Uint32Array {
    return Uint32Array.from(this.#text, (text, i) => words[i] & (text | this.#end[i]));
  }

  /** Whether text may follow. */
  goesOn(mask: Uint32Array): boolean {
    return this.#text.some((words, i) => (words & mask[i]) !== 0);
  }

  mayEnd(mask: Uint32Array): boolean {
    return this.#end.some((words, i) => (words & mask[i]) !== 0);
  }
}
