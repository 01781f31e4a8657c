import type { Capabilities } from '../gpu/capabilities';
import type { Reduction } from './tuning';

/** How a device's kernels may add up the lanes of an output, the default first. */
export function reductionsOf({ subgroups }: Capabilities): readonly Reduction[] {
  return subgroups ? ['subgroup', 'workgroup'] : ['workgroup'];
}

/** The shader module that a kernel with `lib/reduce_workgroup.wgsl` adds up with. */
export function reductionSwap(reduction: Reduction): Readonly<Record<string, string>> {
  return reduction === 'subgroup' ? { 'lib/reduce_workgroup.wgsl': 'lib/reduce_subgroup.wgsl' } : {};
}
