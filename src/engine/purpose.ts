import { UnsupportedModelError } from '../errors';
import type { RunnerLimits } from './runner';

/** What is wanted of a model: tokens, or an encoder's vector of a text. */
export type Purpose = 'tokens' | 'a vector';

/** Throws UnsupportedModelError when the model gives the other one. */
export function expectPurpose({ embeddingSize }: Pick<RunnerLimits, 'embeddingSize'>, wanted: Purpose): void {
  if ((embeddingSize === undefined) === (wanted === 'tokens')) return;
  throw new UnsupportedModelError(
    embeddingSize === undefined
      ? 'this model predicts tokens and has no pooling: it gives no embeddings'
      : 'this model is an encoder: it gives embeddings and no tokens',
  );
}
