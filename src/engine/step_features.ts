/**
 * Parts of a step that most steps do without: calls of a plan that are marked with one of these run only in batches that ask for it.
 * `masks`: some sampled row has a mask of the tokens that may be chosen.
 */
export type StepFeature = 'masks';

/** The fields of a batch (runner.ts) that ask for something. */
interface Asking {
  readonly segments: readonly { readonly masks?: unknown }[];
}

/** What a batch asks for, beyond what every step does. */
export function featuresOf({ segments }: Asking): readonly StepFeature[] {
  return segments.some(({ masks }) => masks !== undefined) ? ['masks'] : [];
}
