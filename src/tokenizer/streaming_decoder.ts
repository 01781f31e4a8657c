/** What decoding needs of a tokenizer. */
interface TokenSource {
  readonly stripsLeadingSpace: boolean;
  tokenBytes(id: number): Uint8Array<ArrayBuffer>;
  isSpecial(id: number): boolean;
  isSpelledOut(id: number): boolean;
}

/**
 * From tokens to text while they come: holds back bytes until they are whole characters, leaves control tokens out, and takes away the
 * space that encoding put where text begins. The pieces together are the text that `Tokenizer.decode` gives for all the tokens.
 */
export class StreamingDecoder {
  readonly #tokens: TokenSource;
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  #startsRun = true;

  constructor(tokens: TokenSource) {
    this.#tokens = tokens;
  }

  push(token: number): string {
    const bytes = this.#tokens.tokenBytes(token);
    if (this.#tokens.isSpelledOut(token)) {
      this.#startsRun = true;
      return this.#tokens.isSpecial(token) ? '' : this.#utf8.decode(bytes, { stream: true });
    }
    const isPrefixed = this.#startsRun && this.#tokens.stripsLeadingSpace && bytes[0] === 0x20;
    this.#startsRun = false;
    return this.#utf8.decode(isPrefixed ? bytes.subarray(1) : bytes, { stream: true });
  }

  /** What is left: U+FFFD for half a character. */
  flush(): string {
    this.#startsRun = true;
    return this.#utf8.decode();
  }
}
