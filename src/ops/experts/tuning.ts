/** The variants of the expert kernels as a space to search, what runs without a search, and what a target's tuner chose. */
import { InternalError } from '../../errors';
import type { Capabilities } from '../../gpu/capabilities';
import type { ExpertLinearCall } from '../calls';
import type { KernelTarget } from '../op';
import { reductionsOf } from '../reduction';
import type { ExpertGemmTuning, ExpertGemvTuning, ExpertTuning } from '../tuning';
import { laneColumns } from '../weights/layout';
import { shapeOf } from './shapes';

/** Columns of a sweep: what the lanes of an output cover at once, times splitK. */
const SWEEP = 256;
/** Sweeps of x that the GEMV's workgroup memory holds, for all of its blocks together. */
const TILE_SWEEPS = 8;
/** Weight rows of a GEMM tile. */
export const TILE_OUTS = 64;

const BLOCKS = [64, 128, 256] as const;
const OUTPUTS = [2, 4, 1] as const;
const SLOTS = [1, 2, 4] as const;
const SPLITS = [1, 2, 4, 8] as const;
const ROWS_PER_LANE = [2, 4, 8] as const;
const K_STEPS = [32, 16] as const;

/** Equal for calls that run the same kernel: what a choice is remembered by. */
export function expertTuningKey(call: ExpertLinearCall): string {
  const { x, weight, out, experts, groups, norm, bias, combine, accumulate, epilogue } = call;
  const { topK, outRows, slotX } = shapeOf(call);
  const traits = [
    slotX && !combine && 'slots',
    norm && 'norm',
    bias && 'bias',
    combine && 'combine',
    accumulate && 'accumulate',
    epilogue !== 'none' && epilogue,
    groups ? `tiles of ${groups.tileRows}` : 'few rows',
  ].filter((trait) => trait);
  return [
    `experts ${weight.format} ${weight.cols}→${outRows} ${topK}/${experts} ${x.type}→${out.type}`,
    ...traits,
  ].join(' ');
}

/** Invocations that share an output. */
export function expertLanes(call: ExpertLinearCall, splitK: number): number {
  return (SWEEP / laneColumns(call.weight.format)) * splitK;
}

/** Every tuning that the kernel of a call can run with on a device: that of few rows, or with `groups` that of large steps. */
export function expertTunings(call: ExpertLinearCall, capabilities: Capabilities): readonly ExpertTuning[] {
  return call.groups ? gemmTunings(call, call.groups.tileRows, capabilities) : gemvTunings(call, capabilities);
}

function gemvTunings(call: ExpertLinearCall, capabilities: Capabilities): readonly ExpertGemvTuning[] {
  const { weight, combine, epilogue } = call;
  const { topK } = shapeOf(call);
  const largest = Math.min(256, capabilities.limits.maxComputeInvocationsPerWorkgroup);
  const all = reductionsOf(capabilities).flatMap((reduction) =>
    BLOCKS.flatMap((block) =>
      OUTPUTS.flatMap((outputsPerLane) =>
        SLOTS.flatMap((slots) =>
          SPLITS.map(
            (splitK): ExpertGemvTuning => ({ kernel: 'expert_gemv', block, outputsPerLane, slots, splitK, reduction }),
          ),
        ),
      ),
    ),
  );
  return all.filter(
    ({ block, outputsPerLane, slots, splitK }) =>
      block * slots <= largest &&
      // A lane of a gated unit needs a gate and its up projection.
      (epilogue === 'none' || outputsPerLane > 1) &&
      (slots === 1 || (combine && slots <= topK)) &&
      // A lane without a sweep would only cost.
      (splitK === 1 || splitK * SWEEP <= weight.cols) &&
      splitK * slots <= TILE_SWEEPS &&
      expertLanes(call, splitK) <= block,
  );
}

/** Halves in workgroup memory only where the activations are halves. */
function gemmTunings(
  { x }: ExpertLinearCall,
  listRows: 32 | 64,
  { f16, limits }: Capabilities,
): readonly ExpertGemmTuning[] {
  const types = f16 && x.type === 'f16' ? (['f16', 'f32'] as const) : (['f32'] as const);
  const all = types.flatMap((tileType) =>
    ([64, 32] as const).flatMap((tileRows) =>
      ROWS_PER_LANE.flatMap((rowsPerLane) =>
        K_STEPS.map((kStep): ExpertGemmTuning => ({ kernel: 'expert_gemm', tileRows, rowsPerLane, kStep, tileType })),
      ),
    ),
  );
  return all.filter(({ tileRows, rowsPerLane, kStep, tileType }) => {
    const invocations = (16 * tileRows) / rowsPerLane;
    const bytes = (tileRows + TILE_OUTS) * kStep * (tileType === 'f16' ? 2 : 4);
    return (
      tileRows <= listRows &&
      invocations <= limits.maxComputeInvocationsPerWorkgroup &&
      // Every invocation has a quad of x to load.
      (tileRows * kStep) / 4 >= invocations &&
      bytes <= limits.maxComputeWorkgroupStorageSize
    );
  });
}

/**
 * What to run with before anything was measured. Slots side by side, because one after another would leave a large GPU idle: a row has few
 * workgroups.
 */
export function defaultExpertTuning(call: ExpertLinearCall, capabilities: Capabilities): ExpertTuning {
  const { groups, x, combine } = call;
  const { topK, outRows } = shapeOf(call);
  if (groups) {
    const tileType = capabilities.f16 && x.type === 'f16' ? 'f16' : 'f32';
    const rowsPerLane = groups.tileRows === 64 ? 4 : 2;
    return { kernel: 'expert_gemm', tileRows: groups.tileRows, rowsPerLane, kStep: 32, tileType };
  }
  const [reduction] = reductionsOf(capabilities);
  const slots = combine ? (topK >= 4 ? 4 : topK >= 2 ? 2 : 1) : 1;
  const outputsPerLane = outRows >= 2048 ? 4 : 2;
  return { kernel: 'expert_gemv', block: 64, outputsPerLane, slots, splitK: 1, reduction };
}

/** What a target runs few rows of a call with. Throws InternalError for a choice that the kernel cannot run. */
export function expertGemvTuning(call: ExpertLinearCall, target: KernelTarget): ExpertGemvTuning {
  const chosen = chosenTuning(call, target);
  if (chosen.kernel === 'expert_gemv') return chosen;
  throw new InternalError(`expert_linear: ${expertTuningKey(call)} is tuned for the ${chosen.kernel}`);
}

/** Likewise of large steps. */
export function expertGemmTuning(call: ExpertLinearCall, target: KernelTarget): ExpertGemmTuning {
  const chosen = chosenTuning(call, target);
  if (chosen.kernel === 'expert_gemm') return chosen;
  throw new InternalError(`expert_linear: ${expertTuningKey(call)} is tuned for the ${chosen.kernel}`);
}

function chosenTuning(call: ExpertLinearCall, { capabilities, tuning }: KernelTarget): ExpertTuning {
  const key = expertTuningKey(call);
  const chosen = tuning?.experts?.(key);
  if (chosen === undefined) return defaultExpertTuning(call, capabilities);
  const legal = expertTunings(call, capabilities).find((one) => identity(one) === identity(chosen));
  if (legal) return legal;
  throw new InternalError(`expert_linear: ${key} cannot run with ${JSON.stringify(chosen)} here`);
}

/** Equal for equal choices. */
function identity(tuning: ExpertTuning): string {
  return JSON.stringify(Object.entries(tuning).sort(([a], [b]) => (a < b ? -1 : 1)));
}
