import { InternalError } from '../errors';
import type { EncodeOptions, Tokenizer } from './contract';
import { StreamingDecoder } from './streaming_decoder';
import { TokenType, type Vocabulary } from './vocabulary';
import type { TextSplitter, WordModel } from './word_model';

/** A vocabulary and the model that cuts plain text into its tokens. */
export class VocabularyTokenizer implements Tokenizer {
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
  readonly #splitter: TextSplitter;

  constructor(vocabulary: Vocabulary, model: WordModel, splitter: TextSplitter) {
    this.#vocabulary = vocabulary;
    this.#model = model;
    this.#splitter = splitter;
    this.vocabSize = vocabulary.tokens.length;
    this.bos = vocabulary.bos;
    this.eos = vocabulary.eos;
    this.eot = vocabulary.eot;
    this.eom = vocabulary.eom;
    this.stopTokens = vocabulary.stopTokens;
    this.addsBos = vocabulary.bos !== undefined && vocabulary.prefix[0] === vocabulary.bos;
    this.controlTexts = vocabulary.tokens.filter((text, id) => text !== '' && this.#isControl(id));
  }

  get stripsLeadingSpace(): boolean {
    return this.#model.spacePrefix;
  }

  encode(text: string, { special = false, bos = 'auto', separator }: EncodeOptions = {}): number[] {
    const out: number[] = bos === 'auto' ? [...this.#vocabulary.prefix] : [];
    if (bos === true && this.bos !== undefined) out.push(this.bos);
    let isFirst = true;
    for (const fragment of this.#splitter.split(text.replace(/\p{Surrogate}/gu, '\ufffd'), special)) {
      if (typeof fragment === 'number') out.push(fragment);
      else {
        const plain = separator === undefined ? fragment : fragment.replaceAll(separator, '');
        if (plain !== '') this.#model.encode(plain, isFirst, out);
      }
      isFirst = false;
    }
    if (bos === 'auto') out.push(...this.#vocabulary.suffix);
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
    return this.#isControl(id) && !this.#vocabulary.shown.has(id);
  }

  isSpelledOut(id: number): boolean {
    return this.#isControl(id) || this.#vocabulary.types[id] === TokenType.userDefined;
  }

  #isControl(id: number): boolean {
    const type = this.#vocabulary.types[id];
    return type === TokenType.control || type === TokenType.unknown;
  }

  #check(id: number): void {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
      throw new InternalError(`token ${id} is outside of the vocabulary of ${this.vocabSize}`);
    }
  }
}
