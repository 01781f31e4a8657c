import type { KernelSource } from '../gpu/kernel';
import type { ActivationType } from './op';

/** The largest finite half. */
export const LARGEST_HALF = 65504;

/** The module by which a kernel keeps values of a type: halves are clamped to their range. */
export function keptAs(type: ActivationType): NonNullable<KernelSource['swaps']> {
  return type === 'f16' ? { 'lib/activation_f32.wgsl': 'lib/activation_f16.wgsl' } : {};
}
