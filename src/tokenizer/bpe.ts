import { mergeSymbols } from './merge';
import type { MergeList } from './merge_list';
import { SPACE, splitAtSpaces } from './spaces';
import { TokenType, type Vocabulary } from './vocabulary';
import { WordCache } from './word_cache';
import type { WordModel } from './word_model';

export interface BpeOptions {
  readonly vocabulary: Vocabulary;
  readonly merges: MergeList;
  /** Cuts text into the words inside of which symbols merge. */
  readonly split: (text: string, isFirst: boolean) => readonly string[];
  /** A word as its first symbols, one a character: its bytes in GPT-2's alphabet, or the word itself. */
  readonly spell: (word: string) => string;
  /** A word that is itself a token is that token, whatever the merges say. */
  readonly isWhole: (word: string) => boolean;
  /** Tokens of single bytes, for a character that is no token. */
  readonly byteTokens?: readonly (number | undefined)[];
  /** Whether several unknown characters in a row are one unknown token. */
  readonly fusesUnknown?: boolean;
  readonly spacePrefix: boolean;
  readonly bytesOf: (text: string) => Uint8Array<ArrayBuffer>;
}

/** Byte-pair encoding (Sennrich et al. 2016): words are cut out, then neighbours inside of a word merge in the order of a list. */
export class BpeModel implements WordModel {
  readonly spacePrefix: boolean;
  readonly #options: BpeOptions;
  readonly #words: WordCache;

  constructor(options: BpeOptions) {
    this.#options = options;
    this.spacePrefix = options.spacePrefix;
    this.#words = new WordCache((word) => this.#merge(options.spell(word)));
  }

  encode(text: string, isFirst: boolean, out: number[]): void {
    for (const word of this.#options.split(text, isFirst)) {
      for (const part of this.#partsOf(word)) for (const id of this.#words.tokensOf(part)) out.push(id);
    }
  }

  bytesOf(id: number): Uint8Array<ArrayBuffer> {
    return this.#options.bytesOf(this.#options.vocabulary.tokens[id]);
  }

  /** Vocabularies from SentencePiece have no words; their merges part at spaces all the same. */
  #partsOf(word: string): readonly string[] {
    const { merges, isWhole, vocabulary } = this.#options;
    if (!word.includes(SPACE) || merges.crossesSpaces || !vocabulary.ids.has(SPACE) || isWhole(word)) return [word];
    return splitAtSpaces(word);
  }

  #merge(word: string): number[] {
    const { merges, isWhole } = this.#options;
    if (isWhole(word)) {
      const whole = this.#idOf(word);
      if (whole !== undefined) return [whole];
    }
    const boundaries: number[] = [];
    for (let at = 0; at < word.length; at += (word.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) boundaries.push(at);
    boundaries.push(word.length);
    const symbols = mergeSymbols(boundaries, (start, middle, end) =>
      end - start > merges.longest ? undefined : merges.rankOf(word.slice(start, end), middle - start),
    );
    const tokens: number[] = [];
    for (let i = 0; i + 1 < symbols.length; i++) this.#emit(word.slice(symbols[i], symbols[i + 1]), tokens);
    return tokens;
  }

  #emit(symbol: string, tokens: number[]): void {
    const id = this.#idOf(symbol);
    if (id !== undefined) {
      tokens.push(id);
      return;
    }
    // A merge whose result is no token: its characters are.
    for (const character of symbol) {
      const single = this.#idOf(character);
      if (single !== undefined) tokens.push(single);
      else if (!this.#emitBytes(character, tokens)) this.#emitUnknown(tokens);
    }
  }

  /** A control token never comes out of text that a user may have written. */
  #idOf(text: string): number | undefined {
    const { ids, types } = this.#options.vocabulary;
    const id = ids.get(text);
    return id === undefined || types[id] === TokenType.control ? undefined : id;
  }

  #emitBytes(character: string, tokens: number[]): boolean {
    const { byteTokens } = this.#options;
    if (!byteTokens) return false;
    const bytes = Array.from(new TextEncoder().encode(character), (byte) => byteTokens[byte]);
    const known = bytes.filter((token) => token !== undefined);
    if (known.length < bytes.length) return false;
    tokens.push(...known);
    return true;
  }

  /** A vocabulary may lack rare bytes (Falcon's lacks control characters); without an unknown token they are left out, as in llama.cpp. */
  #emitUnknown(tokens: number[]): void {
    const { vocabulary, fusesUnknown } = this.#options;
    const { unknown } = vocabulary;
    if (unknown === undefined || (fusesUnknown && tokens.at(-1) === unknown)) return;
    tokens.push(unknown);
  }
}
