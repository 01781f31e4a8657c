import { SPACE } from './spaces';
import { Trie } from './trie';
import type { Vocabulary } from './vocabulary';
import type { WordModel } from './word_model';

export interface WordPieceOptions {
  readonly vocabulary: Vocabulary;
  /** Ids by text, where what begins a word has `SPACE` in front. */
  readonly pieces: ReadonlyMap<string, number>;
  readonly unknown: number;
  /** Normalises text and cuts it into words. */
  readonly split: (text: string, isFirst: boolean) => readonly string[];
  /** Words of more characters are unknown. */
  readonly longestWord: number;
  readonly bytesOf: (text: string) => Uint8Array<ArrayBuffer>;
}

const MARK = SPACE.charCodeAt(0);

/** WordPiece (Schuster and Nakajima 2012) as BERT uses it: of each word the longest token that begins it, again and again. */
export class WordPieceModel implements WordModel {
  readonly spacePrefix = true;
  readonly #options: WordPieceOptions;
  readonly #trie: Trie;

  constructor(options: WordPieceOptions) {
    this.#options = options;
    this.#trie = new Trie(options.pieces);
  }

  encode(text: string, isFirst: boolean, out: number[]): void {
    for (const word of this.#options.split(text, isFirst)) {
      const tokens = this.#cut(word);
      if (tokens) for (const token of tokens) out.push(token);
      else out.push(this.#options.unknown);
    }
  }

  bytesOf(id: number): Uint8Array<ArrayBuffer> {
    return this.#options.bytesOf(this.#options.vocabulary.tokens[id]);
  }

  /** Undefined when some part of the word is no token: then the whole word is unknown. */
  #cut(word: string): number[] | undefined {
    const { longestWord } = this.#options;
    if (word.length > longestWord && Array.from(word).length > longestWord) return undefined;
    // The word behind its mark, which is not put in front: engines join texts lazily, and looking into such a one may copy it each time.
    const length = word.length + 1;
    const tokens: number[] = [];
    for (let start = 0; start < length; ) {
      let token: number | undefined;
      let end = start;
      let node = 0;
      for (let at = start; at < length; at++) {
        node = this.#trie.next(node, at === 0 ? MARK : word.charCodeAt(at - 1));
        if (node === 0) break;
        const found = this.#trie.valueOf(node);
        if (found === undefined) continue;
        token = found;
        end = at + 1;
      }
      if (token === undefined) return undefined;
      tokens.push(token);
      start = end;
    }
    return tokens;
  }
}
