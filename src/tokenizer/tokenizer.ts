import { InternalError, UnsupportedModelError } from '../errors';
import { type GgufMetadata, getString } from '../formats/gguf/gguf';
import { BpeModel } from './bpe';
import { SpecialTokens } from './special_tokens';
import { SpmModel } from './spm';
import { StreamingDecoder } from './streaming_decoder';
import { readVocabulary, TokenType, type Vocabulary } from './vocabulary';
import type { WordModel } from './word_model';

interface EncodeOptions {
  /** Whether the text of a control token becomes that token. False for anything that a user wrote. Default false. */
  readonly special?: boolean;
  /** Whether BOS goes first; 'auto' (the default) follows the file, for EOS at the end too. */
  readonly bos?: 'auto' | boolean;
  /** A character that keeps what it splits from being a special token, and is then left out of the text. */
  readonly separator?: string;
}

export interface Tokenizer {
  readonly vocabSize: number;
  readonly bos?: number;
  readonly eos?: number;
  readonly eot?: number;
  readonly eom?: number;
  /** Whether the model expects BOS before a text. */
  readonly addsBos: boolean;
  /** Tokens after which an answer has ended. */
  readonly stopTokens: ReadonlySet<number>;
  /** Whether decoding takes one space away where text begins, and after a special token. */
  readonly stripsLeadingSpace: boolean;
  /** Lone surrogates become U+FFFD. */
  encode(text: string, options?: EncodeOptions): number[];
  /** The text without control tokens; bytes that are no UTF-8 become U+FFFD. */
  decode(tokens: Iterable<number>): string;
  /** A token's own text, a control token's name included; U+FFFD where it is a part of a character. */
  tokenText(id: number): string;
  tokenBytes(id: number): Uint8Array<ArrayBuffer>;
  /** The id of the token that is written so in the file. */
  tokenId(text: string): number | undefined;
  /** Control and unknown tokens: never a part of the text. */
  isSpecial(id: number): boolean;
  /** Whether the token is found in text by its own spelling: control, unknown and user-defined ones. */
  isSpelledOut(id: number): boolean;
  /** Texts of all control tokens. */
  readonly controlTexts: readonly string[];
}

/**
 * The tokenizer that a GGUF file describes: `tokenizer.ggml.model` "llama" (SentencePiece BPE) or "gpt2" (byte-level BPE). Results equal llama.cpp's.
 * @throws InvalidFileError when the lists do not fit together, UnsupportedModelError for other kinds and unknown pre-tokenizers.
 */
export function createTokenizer(gguf: GgufMetadata): Tokenizer {
  const key = 'tokenizer.ggml.model';
  const kind = getString(gguf, key);
  if (kind !== 'llama' && kind !== 'gpt2') {
    throw new UnsupportedModelError(`the tokenizer "${kind}" (${key}) is not supported`, {
      details: { key, value: kind },
    });
  }
  const vocabulary = readVocabulary(gguf);
  return new VocabularyTokenizer(
    vocabulary,
    kind === 'llama' ? new SpmModel(gguf, vocabulary) : new BpeModel(gguf, vocabulary),
  );
}

class VocabularyTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly bos?: number;
  readonly eos?: number;
  readonly eot?: number;
  readonly eom?: number;
  readonly addsBos: boolean;
  readonly stopTokens: ReadonlySet<number>;
  readonly controlTexts: readonly string[];
  readonly #vocabulary: Vocabulary;
  readonly #model: WordModel;
  readonly #special: SpecialTokens;

  constructor(vocabulary: Vocabulary, model: WordModel) {
    this.#vocabulary = vocabulary;
    this.#model = model;
    this.#special = new SpecialTokens(vocabulary);
    this.vocabSize = vocabulary.tokens.length;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.eot = vocabulary.eot;
    this.eom = vocabulary.eom;
    this.stopTokens = vocabulary.stopTokens;
    this.addsBos = vocabulary.bos !== undefined && (vocabulary.addBos ?? model.addBosByDefault);
    this.controlTexts = vocabulary.tokens.filter((text, id) => text !== '' && this.isSpecial(id));
  }

  get stripsLeadingSpace(): boolean {
    return this.#model.spacePrefix;
  }

  encode(text: string, { special = false, bos = 'auto', separator }: EncodeOptions = {}): number[] {
    const out: number[] = [];
    if (this.bos !== undefined && (bos === 'auto' ? this.addsBos : bos)) out.push(this.bos);
    let startsRun = true;
    for (const fragment of this.#special.split(text.replace(/\p{Surrogate}/gu, '\ufffd'), special)) {
      if (typeof fragment === 'number') {
        out.push(fragment);
        startsRun = true;
        continue;
      }
      const plain = separator === undefined ? fragment : fragment.replaceAll(separator, '');
      if (plain === '') continue;
      this.#model.encode(plain, startsRun, out);
      startsRun = false;
    }
    if (bos === 'auto' && this.eos !== undefined && this.#vocabulary.addEos) out.push(this.eos);
    return out;
  }

  decode(tokens: Iterable<number>): string {
    const decoder = new StreamingDecoder(this);
    let text = '';
    for (const token of tokens) text += decoder.push(token);
    return text + decoder.flush();
  }

  tokenText(id: number): string {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(this.tokenBytes(id));
  }

  tokenBytes(id: number): Uint8Array<ArrayBuffer> {
    this.#check(id);
    return this.isSpelledOut(id) ? new TextEncoder().encode(this.#vocabulary.tokens[id]) : this.#model.bytesOf(id);
  }

  tokenId(text: string): number | undefined {
    return this.#vocabulary.ids.get(text);
  }

  isSpecial(id: number): boolean {
    const type = this.#vocabulary.types[id];
    return type === TokenType.control || type === TokenType.unknown;
  }

  isSpelledOut(id: number): boolean {
    return this.isSpecial(id) || this.#vocabulary.types[id] === TokenType.userDefined;
  }

  #check(id: number): void {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
      throw new InternalError(`token ${id} is outside of the vocabulary of ${this.vocabSize}`);
    }
  }
}
