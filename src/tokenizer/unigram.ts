import { Trie } from './trie';
import type { Vocabulary } from './vocabulary';
import type { WordModel } from './word_model';

/** How much worse an unknown character is than the worst token: SentencePiece's constant. */
const UNKNOWN_PENALTY = 10;

export interface UnigramOptions {
  readonly vocabulary: Vocabulary;
  /** Tokens that text may become: text, id and log-probability, 0 for those that a user defined. */
  readonly pieces: readonly UnigramPiece[];
  /** The worst log-probability of a token that was trained. */
  readonly worstScore: number;
  readonly unknown: number;
  /** Normalises text and cuts it into pieces. */
  readonly split: (text: string, isFirst: boolean) => readonly string[];
  /** Tokens of single bytes, in the place of unknown ones. */
  readonly byteTokens?: readonly (number | undefined)[];
  readonly spacePrefix: boolean;
  readonly bytesOf: (text: string) => Uint8Array<ArrayBuffer>;
}

export interface UnigramPiece {
  readonly text: string;
  readonly id: number;
  readonly score: number;
}

/**
 * The unigram language model (Kudo 2018): of all ways to cut a text into tokens, the one with the greatest sum of log-probabilities, found
 * from left to right (Viterbi). Neighbouring unknown characters become one unknown token.
 */
export class UnigramModel implements WordModel {
  readonly spacePrefix: boolean;
  readonly #options: UnigramOptions;
  readonly #trie: Trie;
  readonly #scores: Float64Array;

  constructor(options: UnigramOptions) {
    this.#options = options;
    this.spacePrefix = options.spacePrefix;
    this.#trie = new Trie(options.pieces.map(({ text, id }) => [text, id]));
    this.#scores = new Float64Array(options.vocabulary.tokens.length);
    for (const { id, score } of options.pieces) this.#scores[id] = score;
  }

  encode(text: string, isFirst: boolean, out: number[]): void {
    for (const piece of this.#options.split(text, isFirst)) this.#cut(piece, out);
  }

  bytesOf(id: number): Uint8Array<ArrayBuffer> {
    return this.#options.bytesOf(this.#options.vocabulary.tokens[id]);
  }

  #cut(text: string, out: number[]): void {
    const { unknown, worstScore } = this.#options;
    const length = text.length;
    const best = new Float64Array(length + 1).fill(Number.NEGATIVE_INFINITY);
    const starts = new Uint32Array(length + 1);
    const tokens = new Uint32Array(length + 1);
    best[0] = 0;
    const offer = (start: number, end: number, token: number, score: number) => {
      if (best[start] + score <= best[end]) return;
      best[end] = best[start] + score;
      starts[end] = start;
      tokens[end] = token;
    };
    for (let start = 0; start < length; ) {
      const next = start + ((text.codePointAt(start) ?? 0) > 0xffff ? 2 : 1);
      let hasCharacter = false;
      let node = 0;
      for (let at = start; at < length; at++) {
        node = this.#trie.next(node, text.charCodeAt(at));
        if (node === 0) break;
        const token = this.#trie.valueOf(node);
        if (token === undefined) continue;
        hasCharacter ||= at + 1 === next;
        offer(start, at + 1, token, this.#scores[token]);
      }
      if (!hasCharacter) offer(start, next, unknown, worstScore - UNKNOWN_PENALTY);
      start = next;
    }
    const path: { readonly start: number; readonly end: number; readonly token: number }[] = [];
    for (let end = length; end > 0; end = starts[end]) path.push({ start: starts[end], end, token: tokens[end] });
    this.#emit(text, path.reverse(), out);
  }

  #emit(
    text: string,
    path: readonly { readonly start: number; readonly end: number; readonly token: number }[],
    out: number[],
  ): void {
    const { unknown, byteTokens } = this.#options;
    let previous: number | undefined;
    for (const { start, end, token } of path) {
      if (token !== unknown) out.push(token);
      else {
        const bytes = byteTokens && Array.from(new TextEncoder().encode(text.slice(start, end)), (b) => byteTokens[b]);
        const known = bytes?.filter((byte) => byte !== undefined);
        if (known && known.length === bytes?.length) out.push(...known);
        else if (previous !== unknown) out.push(unknown);
      }
      previous = token;
    }
  }
}
