import { type GgufMetadata, getStringArray, optionalString } from '../formats/gguf/gguf';
import { BYTE_TO_CHARACTER, fromByteLevel, toByteLevel } from './byte_level';
import { mergeSymbols } from './merge';
import { type PreTokenizer, preTokenizer, splitWords } from './pre_tokenizers';
import { invalid, type Vocabulary } from './vocabulary';
import type { WordModel } from './word_model';

const MERGES = 'tokenizer.ggml.merges';
const CACHED_WORDS = 16_384;
const CACHED_WORD_LENGTH = 64;

/** Byte-level BPE (`tokenizer.ggml.model` is "gpt2"): words are cut out by regular expressions, then merged in the order of `merges`. */
export class BpeModel implements WordModel {
  readonly spacePrefix = false;
  readonly addBosByDefault: boolean;
  readonly #vocabulary: Vocabulary;
  readonly #preTokenizer: PreTokenizer;
  /** Rank by "left right", as the file spells a merge: no symbol holds a space. */
  readonly #ranks = new Map<string, number>();
  readonly #longestMerge: number;
  readonly #cache = new Map<string, readonly number[]>();

  constructor(gguf: GgufMetadata, vocabulary: Vocabulary) {
    this.#vocabulary = vocabulary;
    this.#preTokenizer = preTokenizer(optionalString(gguf, 'tokenizer.ggml.pre') ?? 'default');
    this.addBosByDefault = this.#preTokenizer.addBos;
    let longest = 0;
    getStringArray(gguf, MERGES).forEach((merge, rank) => {
      const space = merge.indexOf(' ', 1);
      if (space < 0 || space === merge.length - 1) {
        throw invalid(MERGES, `item ${rank}, ${JSON.stringify(merge)}, is no pair with a space between`);
      }
      // Of two equal pairs the later one counts, as in llama.cpp.
      this.#ranks.set(merge, rank);
      longest = Math.max(longest, merge.length - 1);
    });
    this.#longestMerge = longest;
    const missing = BYTE_TO_CHARACTER.findIndex((text, byte) => isPrintableAscii(byte) && !vocabulary.ids.has(text));
    if (missing >= 0 && vocabulary.unknown === undefined) {
      throw invalid(
        'tokenizer.ggml.tokens',
        `no token for byte ${missing}, and no tokenizer.ggml.unknown_token_id in its place`,
      );
    }
  }

  encode(text: string, _startsRun: boolean, out: number[]): void {
    for (const word of splitWords(text, this.#preTokenizer.patterns)) {
      for (const id of this.#encodeWord(word)) out.push(id);
    }
  }

  bytesOf(id: number): Uint8Array<ArrayBuffer> {
    return fromByteLevel(this.#vocabulary.tokens[id]);
  }

  #encodeWord(word: string): readonly number[] {
    const cached = this.#cache.get(word);
    if (cached) return cached;
    const tokens = this.#merge(toByteLevel(word));
    if (word.length <= CACHED_WORD_LENGTH) {
      if (this.#cache.size >= CACHED_WORDS) this.#cache.clear();
      this.#cache.set(word, tokens);
    }
    return tokens;
  }

  #merge(word: string): number[] {
    const { ids, unknown } = this.#vocabulary;
    if (this.#preTokenizer.ignoreMerges) {
      const whole = ids.get(word);
      if (whole !== undefined) return [whole];
    }
    const boundaries = Array.from({ length: word.length + 1 }, (_, i) => i);
    const symbols = mergeSymbols(boundaries, (start, middle, end) =>
      end - start > this.#longestMerge
        ? undefined
        : this.#ranks.get(`${word.slice(start, middle)} ${word.slice(middle, end)}`),
    );
    const tokens: number[] = [];
    const emit = (text: string): boolean => {
      const id = ids.get(text);
      if (id !== undefined) tokens.push(id);
      return id !== undefined;
    };
    for (let i = 0; i + 1 < symbols.length; i++) {
      const symbol = word.slice(symbols[i], symbols[i + 1]);
      if (emit(symbol)) continue;
      // A merge whose result is no token: its bytes are. A vocabulary may lack rare bytes (Falcon's lacks control characters); they are
      // left out, as in llama.cpp.
      for (const character of symbol) if (!emit(character) && unknown !== undefined) tokens.push(unknown);
    }
    return tokens;
  }
}

function isPrintableAscii(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f;
}
