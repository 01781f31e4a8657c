import { InvalidOptionError } from '../errors';
import { type Gguf, getStringArray } from '../formats/gguf/gguf';

const TOKENS = 'tokenizer.ggml.tokens';

/** Throws InvalidOptionError, naming the first difference, unless the two models' tokens are the same: a draft is a list of token ids. */
export function checkDraft(model: { readonly gguf: Gguf }, draft: { readonly gguf: Gguf }): void {
  // Elsewhere the tokens stand in a file of their own; the vocabulary's size is compared in any case.
  if (!model.gguf.metadata.has(TOKENS) || !draft.gguf.metadata.has(TOKENS)) return;
  const tokens = getStringArray(model.gguf, TOKENS);
  const others = getStringArray(draft.gguf, TOKENS);
  if (tokens.length !== others.length) {
    throw new InvalidOptionError(
      'draft',
      `has a vocabulary of ${others.length} tokens, the model one of ${tokens.length}`,
    );
  }
  const different = tokens.findIndex((token, id) => token !== others[id]);
  if (different < 0) return;
  throw new InvalidOptionError(
    'draft',
    `has another vocabulary: token ${different} is ${JSON.stringify(others[different])}, the model's ${JSON.stringify(tokens[different])}`,
  );
}
