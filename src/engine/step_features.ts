import type { Batch } from './runner';

/**
 * Parts of a step that most steps do without: calls of a plan that are marked with one of these run only in batches that ask for it.
 * `masks`: some sampled row has a mask of the tokens that may be chosen.
 */
export type StepFeature = 'masks';

/** What a batch asks for, beyond what every step does. */
export function featuresOf({ segments }: Pick<Batch, 'segments'>): readonly StepFeature[] {
  return segments.some(({ masks }) => masks !== undefined) ? ['masks'] : [];
}
