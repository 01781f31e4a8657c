import type { GgufMetadata } from '../formats/gguf/gguf';
import type { Tokenizer } from './contract';
import { createTokenizer } from './tokenizer';

/**
 * The tokenizer of a model: what its GGUF file describes, or the tokenizer.json of the Hugging Face repository that it was read from.
 * Rejects like `createTokenizer` and `createTokenizerFromJson`.
 */
export async function loadTokenizer(gguf: GgufMetadata): Promise<Tokenizer> {
  if (!gguf.tokenizer) return createTokenizer(gguf);
  const { createTokenizerFromJson } = await import('./json/tokenizer_json');
  return createTokenizerFromJson(gguf.tokenizer);
}
