import { type GgufMetadata, optionalBool, optionalNumberArray } from '../formats/gguf/gguf';
import { mergeSymbols } from './merge';
import { checkLength, invalid, TokenType, type Vocabulary } from './vocabulary';
import type { WordModel } from './word_model';

const SCORES = 'tokenizer.ggml.scores';
const SPACE = '\u2581';

/**
 * SentencePiece's BPE (`tokenizer.ggml.model` is "llama"): of all neighbours that form a token, the pair with the best score merges first.
 * What forms no token falls back to tokens of single bytes. As in SentencePiece, control and byte tokens never come out of a merge.
 */
export class SpmModel implements WordModel {
  readonly addBosByDefault = true;
  readonly spacePrefix: boolean;
  readonly #pieces = new Map<string, number>();
  readonly #scores: ArrayLike<number>;
  readonly #byteTokens: readonly (number | undefined)[];
  readonly #vocabulary: Vocabulary;
  readonly #longest: number;

  constructor(gguf: GgufMetadata, vocabulary: Vocabulary) {
    const { tokens, types, ids } = vocabulary;
    const scores = optionalNumberArray(gguf, SCORES);
    if (!scores) throw invalid(SCORES, 'missing, and this kind of tokenizer merges by score');
    checkLength(SCORES, scores.length, tokens.length);
    const broken = scores.findIndex((score) => !Number.isFinite(score));
    if (broken >= 0) throw invalid(SCORES, `the score of token ${broken} is ${scores[broken]}`);
    this.#scores = scores;
    this.#vocabulary = vocabulary;
    this.spacePrefix = optionalBool(gguf, 'tokenizer.ggml.add_space_prefix') ?? true;

    let longest = 0;
    for (const [text, id] of ids) {
      const type = types[id];
      if (type !== TokenType.normal && type !== TokenType.userDefined && type !== TokenType.unused) continue;
      this.#pieces.set(text, id);
      longest = Math.max(longest, text.length);
    }
    this.#longest = longest;
    this.#byteTokens = Array.from({ length: 256 }, (_, byte) => ids.get(byteTokenText(byte)));
    const missing = this.#byteTokens.indexOf(undefined);
    if (missing >= 0 && vocabulary.unknown === undefined) {
      throw invalid(
        'tokenizer.ggml.tokens',
        `no token ${byteTokenText(missing)}, and no tokenizer.ggml.unknown_token_id in its place`,
      );
    }
  }

  encode(text: string, startsRun: boolean, out: number[]): void {
    const escaped = (startsRun && this.spacePrefix ? SPACE : '') + text.replaceAll(' ', SPACE);
    const boundaries: number[] = [];
    for (let at = 0; at < escaped.length; at += (escaped.codePointAt(at) ?? 0) > 0xffff ? 2 : 1) boundaries.push(at);
    boundaries.push(escaped.length);
    const symbols = mergeSymbols(boundaries, (start, _middle, end) => {
      if (end - start > this.#longest) return undefined;
      const id = this.#pieces.get(escaped.slice(start, end));
      return id === undefined ? undefined : -this.#scores[id];
    });
    for (let i = 0; i + 1 < symbols.length; i++) this.#emit(escaped.slice(symbols[i], symbols[i + 1]), out);
  }

  bytesOf(id: number): Uint8Array<ArrayBuffer> {
    const text = this.#vocabulary.tokens[id];
    if (this.#vocabulary.types[id] === TokenType.byte) {
      const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
      if (byte !== undefined) return Uint8Array.of(Number.parseInt(byte, 16));
    }
    return new TextEncoder().encode(text.replaceAll(SPACE, ' '));
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

function byteTokenText(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}
