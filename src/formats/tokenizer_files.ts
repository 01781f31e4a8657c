/** Texts of the files that describe a tokenizer in a Hugging Face repository. */
export interface TokenizerFiles {
  readonly tokenizerJson: string;
  readonly tokenizerConfig?: string;
  readonly generationConfig?: string;
}
