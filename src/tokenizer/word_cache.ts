const CACHED_WORDS = 16_384;
const CACHED_WORD_LENGTH = 64;

/** Tokens of words that were met before: a text's words repeat. */
export class WordCache {
  readonly #tokens = new Map<string, readonly number[]>();
  readonly #cut: (word: string) => readonly number[];

  constructor(cut: (word: string) => readonly number[]) {
    this.#cut = cut;
  }

  tokensOf(word: string): readonly number[] {
    const known = this.#tokens.get(word);
    if (known) return known;
    const tokens = this.#cut(word);
    if (word.length <= CACHED_WORD_LENGTH) {
      if (this.#tokens.size >= CACHED_WORDS) this.#tokens.clear();
      this.#tokens.set(word, tokens);
    }
    return tokens;
  }
}
