/** Float rows quantised on the GPU while they are loaded, into the planes that layout.ts describes. */
import { InternalError } from '../../errors';
import type { WeightFormat } from '../../formats/weight_format';
import { blocksPerRow, type RepackKernel } from './layout';

const LANES = 64;
const MAX_WORKGROUPS_X = 65535;

const ENTRIES: Partial<Record<WeightFormat, string>> = {
  q8_0: 'ops/quantize_q8_0.wgsl',
  q4_0: 'ops/quantize_q4_0.wgsl',
};

const RAW_VALUES: Partial<Record<WeightFormat, string>> = {
  f32: 'lib/raw_f32.wgsl',
  f16: 'lib/raw_f16.wgsl',
  bf16: 'lib/raw_bf16.wgsl',
};

/**
 * The kernel that turns raw rows of f32, f16 or bf16 values into the planes of q8_0 or q4_0: codes and scales equal those of ggml's
 * reference encoders bit for bit, for blocks of finite values whose largest is 0 or at least 1e-30. Bound like a repack kernel.
 */
export function quantizeKernel(from: WeightFormat, to: WeightFormat, cols: number): RepackKernel {
  const entry = ENTRIES[to];
  const values = RAW_VALUES[from];
  if (entry === undefined || values === undefined) throw new InternalError(`no kernel quantises ${from} to ${to}`);
  const blocks = blocksPerRow(cols);
  const pairs = Math.ceil(blocks / 2);
  return {
    source: { entry, swaps: { 'lib/raw_f32.wgsl': values }, overrides: { BLOCKS: blocks } },
    bindings: ['params', 'raw', 'quants', 'scales'],
    workgroups(rows) {
      const groups = Math.ceil((rows * pairs) / LANES);
      const x = Math.min(groups, MAX_WORKGROUPS_X);
      return [x, x === 0 ? 0 : Math.ceil(groups / x), 1];
    },
  };
}
