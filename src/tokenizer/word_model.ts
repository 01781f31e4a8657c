/** One kind of tokenizer: from text without special tokens to ids, and from an id to bytes. */
export interface WordModel {
  /** Whether BOS goes first where the file does not say. */
  readonly addBosByDefault: boolean;
  /** Whether encoding puts a space before text at the start and after a special token, which decoding takes away. */
  readonly spacePrefix: boolean;
  /** Appends the text's tokens. `startsRun`: the text is the first, or follows a special token. */
  encode(text: string, startsRun: boolean, out: number[]): void;
  bytesOf(id: number): Uint8Array<ArrayBuffer>;
}
