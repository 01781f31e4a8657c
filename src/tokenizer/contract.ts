export interface EncodeOptions {
  /** Whether the text of a control token becomes that token. False for anything that a user wrote. Default false. */
  readonly special?: boolean;
  /** Whether BOS goes first; 'auto' (the default) follows the file, for what goes to the end too. */
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
