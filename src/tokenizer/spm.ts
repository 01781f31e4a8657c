import { mergeSymbols } from './merge';
import { byteTokens, fromSentencePiece, SPACE, splitAtSpaces } from './spaces';
import { TokenType, type Vocabulary } from './vocabulary';
import { WordCache } from './word_cache';
import type { WordModel } from './word_model';

export interface SpmOptions {
  /** One per token. */
  readonly scores: ArrayLike<number>;
  readonly spacePrefix: boolean;
}

/**
 * SentencePiece's BPE (`tokenizer.ggml.model` is "llama"): of all neighbours that form a token, the pair with the best score merges first.
 * What forms no token falls back to tokens of single bytes. As in SentencePiece, control and byte tokens never come out of a merge.
 */
export class SpmModel implements WordModel {
  readonly spacePrefix: boolean;
  readonly #pieces = new Map<string, number>();
  readonly #scores: ArrayLike<number>;
  readonly #byteTokens: readonly (number | undefined)[];
  readonly #vocabulary: Vocabulary;
  readonly #longest: number;
  readonly #words: WordCache;
  /** Whether some token goes over the place where a space begins a word. */
  readonly #crossesSpaces: boolean;

  constructor(vocabulary: Vocabulary, { scores, spacePrefix }: SpmOptions) {
    const { types, ids } = vocabulary;
    this.#scores = scores;
    this.#vocabulary = vocabulary;
    this.spacePrefix = spacePrefix;
    let longest = 0;
    for (const [text, id] of ids) {
      const type = types[id];
      if (type !== TokenType.normal && type !== TokenType.userDefined && type !== TokenType.unused) continue;
      this.#pieces.set(text, id);
      longest = Math.max(longest, text.length);
    }
    this.#longest = longest;
    this.#crossesSpaces = [...this.#pieces.keys()].some((text) => /[^\u2581]\u2581/u.test(text));
    this.#words = new WordCache((word) => this.#merge(word));
    this.#byteTokens = byteTokens(ids);
  }

  encode(text: string, _isFirst: boolean, out: number[]): void {
    const escaped = (this.spacePrefix ? SPACE : '') + text.replaceAll(' ', SPACE);
    const words = this.#crossesSpaces ? [escaped] : splitAtSpaces(escaped);
    for (const word of words) for (const id of this.#words.tokensOf(word)) out.push(id);
  }

  bytesOf(id: number): Uint8Array<ArrayBuffer> {
    const text = this.#vocabulary.tokens[id];
    if (this.#vocabulary.types[id] === TokenType.byte) return fromSentencePiece(text);
    return new TextEncoder().encode(text.replaceAll(SPACE, ' '));
  }

  #merge(word: string): number[] {
    const boundaries: number[] = [];
    for (let at = 0; at < word.length; at += (word.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) boundaries.push(at);
    boundaries.push(word.length);
    const symbols = mergeSymbols(boundaries, (start, _middle, end) => {
      if (end - start > this.#longest) return undefined;
      const id = this.#pieces.get(word.slice(start, end));
      return id === undefined ? undefined : -this.#scores[id];
    });
    const tokens: number[] = [];
    for (let i = 0; i + 1 < symbols.length; i++) this.#emit(word.slice(symbols[i], symbols[i + 1]), tokens);
    return tokens;
  }

  #emit(symbol: string, out: number[]): void {
    const id = this.#pieces.get(symbol);
    if (id !== undefined) {
      out.push(id);
      return;
    }
    const bytes = Array.from(new TextEncoder().encode(symbol), (byte) => this.#byteTokens[byte]);
    const known = bytes.filter((token) => token !== undefined);
    if (known.length === bytes.length) out.push(...known);
    else if (this.#vocabulary.unknown !== undefined) out.push(this.#vocabulary.unknown);
  }
}
