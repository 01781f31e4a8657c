import { chainOfSegment, type SegmentSampling } from './sampler_chain';

/**
 * Parts of a step that most steps do without: calls of a plan that are marked with one of these run only in batches that ask for it.
 * `masks`: some sampled row has a mask of the tokens that may be chosen. `sampler_chain`: some row asks for more than the plain
 * sampler has. `dola`: some row contrasts layers; `dola:2`: layer 2 among them.
 * `hidden`: some segment's rows are returned. `guidance`: some row is guided away from another one.
 */
export type StepFeature = 'masks' | 'sampler_chain' | 'dola' | `dola:${number}` | 'hidden' | 'guidance';

/** The fields of a batch (runner.ts) that ask for something. */
interface Asking {
  readonly segments: readonly (SegmentSampling & {
    readonly masks?: unknown;
    readonly dola?: readonly number[];
    readonly returnHidden?: boolean;
    readonly guidance?: unknown;
  })[];
}

/** What a batch asks for, beyond what every step does. */
export function featuresOf({ segments }: Asking): readonly StepFeature[] {
  const features: StepFeature[] = [];
  if (segments.some(({ masks }) => masks !== undefined)) features.push('masks');
  if (segments.some((segment) => chainOfSegment(segment) !== undefined)) features.push('sampler_chain');
  if (segments.some(({ guidance }) => guidance !== undefined)) features.push('guidance');
  if (segments.some(({ returnHidden }) => returnHidden)) features.push('hidden');
  if (segments.some(({ dola }) => dola !== undefined)) {
    const layers = new Set(segments.flatMap(({ dola = [] }) => dola));
    features.push('dola', ...Array.from(layers, (layer) => `dola:${layer}` as const));
  }
  return features;
}
