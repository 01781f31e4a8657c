/** One kind of tokenizer: from text without special tokens to ids, and from an id to bytes. */
export interface WordModel {
  /** Whether encoding puts a space before text at the start and after a special token, which decoding takes away. */
  readonly spacePrefix: boolean;
  /** Appends the text's tokens. `isFirst`: no token and no other text stands before it. */
  encode(text: string, isFirst: boolean, out: number[]): void;
  bytesOf(id: number): Uint8Array<ArrayBuffer>;
}

/** Text that is still to be tokenised, or a token that was found in it by its own text. */
export type Fragment = string | number;

/** Finds the tokens that stand in a text as themselves. */
export interface TextSplitter {
  /** `trusted`: a program wrote the text, so that control tokens count. */
  split(text: string, trusted: boolean): Fragment[];
}
