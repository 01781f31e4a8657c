import type { Capabilities } from '../gpu/capabilities';
import { attentionSpaceCases } from './attention/cases';
import { expertSpaceCases } from './experts/variant_cases';
import { linearPairSpaceCases } from './linear/pair_cases';
import { linearSpaceCases } from './linear/space_cases';
import type { OpCase } from './op';

/**
 * One small case for every variant that an autotuner may choose on a device, of every kernel that has more than one. What is legal the
 * kernels' own lists say, so that a new variant is here by itself.
 */
export function spaceCases(capabilities: Capabilities, seed: number): readonly OpCase[] {
  return [
    ...attentionSpaceCases(capabilities, seed),
    ...linearSpaceCases(capabilities, seed),
    ...linearPairSpaceCases(capabilities, seed),
    ...expertSpaceCases(capabilities, seed),
  ];
}
