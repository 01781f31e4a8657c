import { InternalError } from '../../errors';
import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import type { KernelTarget } from '../op';
import type { GemmTuning, GemvOrder, GemvTuning, LinearTuning } from '../tuning';
import { isGated } from './epilogue';

/** Rows that one GEMV pipeline reads a weight for. */
export const GEMV_ROW_TILES = [1, 4, 16] as const;
export type GemvRowTile = (typeof GEMV_ROW_TILES)[number];

/** Row counts that have kernels of their own: up to 1, 4 and 16 rows, and more. */
export const LINEAR_ROW_TILES = [...GEMV_ROW_TILES, 'many'] as const;
export type LinearRowTile = (typeof LINEAR_ROW_TILES)[number];

/** vec4 of the kernel's tile in workgroup memory (TILE_QUADS), which holds the partial sums at the end. */
const PARTIAL_SUMS = 512;

const STAGED: GemvOrder = { x: 'staged', splitK: 1 };

/** Equal for calls that run the same kernels: what a choice is remembered by. */
export function tuningKey(call: LinearCall, rowTile: LinearRowTile): string {
  const { x, weight, out, norm, bias, accumulate, epilogue } = call;
  const traits = [norm && 'norm', bias && 'bias', accumulate && 'accumulate', isGated(call) && epilogue];
  return [
    `${weight.format} ${weight.cols}→${weight.rows}`,
    `${x.type}→${out.type}`,
    ...traits.filter((trait) => trait),
    out.rows === 'sampled' ? 'sampled' : '',
    `rows ${rowTile}`,
  ]
    .filter((part) => part)
    .join(' ');
}

/** The orders of sums that the kernels of up to 16 rows know: a tuner chooses one for the call, then the tiles' tunings within it. */
export function gemvOrders(): readonly GemvOrder[] {
  return [STAGED];
}

function sameOrder(a: GemvOrder, b: GemvOrder): boolean {
  return a.x === b.x && a.splitK === b.splitK;
}

/**
 * Every tuning that the kernel of a call can run with on a device: what an autotuner may choose from. For up to 16 rows those of one
 * order of sums, which has to be the same for all of a call's tiles; `order` absent: the default's.
 */
export function linearTunings(
  call: LinearCall,
  rowTile: LinearRowTile,
  capabilities: Capabilities,
  order: GemvOrder = defaultOrder(),
): readonly LinearTuning[] {
  if (rowTile === 'many') return gemmTunings(call, capabilities);
  // A lane of a gated unit needs a gate and its up projection.
  const fewest = isGated(call) ? 2 : 1;
  return [64, 128, 256]
    .filter((workgroupSize) => workgroupSize <= capabilities.limits.maxComputeInvocationsPerWorkgroup)
    .flatMap((workgroupSize) =>
      [1, 2, 4]
        .filter((outputs) => outputs >= fewest && workgroupSize * outputs <= PARTIAL_SUMS)
        .map((outputsPerLane): GemvTuning => ({ kernel: 'gemv', ...order, workgroupSize, outputsPerLane })),
    );
}

/** Halves in workgroup memory only where the activations are halves: rounding the weights to them costs no more than that did. */
function gemmTunings({ x }: LinearCall, { f16 }: Capabilities): readonly GemmTuning[] {
  const types = f16 && x.type === 'f16' ? (['f16', 'f32'] as const) : (['f32'] as const);
  return types.map((tileType) => ({ kernel: 'gemm', tileRows: 64, tileColumns: 64, tileType }));
}

function defaultOrder(): GemvOrder {
  return STAGED;
}

/**
 * What to run with before anything was measured. Small workgroups keep many of them in flight for small matrices; with more rows the
 * products of four outputs no longer fit into registers, and larger workgroups share the rows of x that they load.
 */
export function defaultLinearTuning(
  call: LinearCall,
  rowTile: LinearRowTile,
  capabilities: Capabilities,
  order: GemvOrder = defaultOrder(),
): LinearTuning {
  if (rowTile === 'many') return gemmTunings(call, capabilities)[0];
  const { weight } = call;
  const workgroupSize = Math.min(
    rowTile === 1 && weight.rows <= 16384 ? 64 : 128,
    capabilities.limits.maxComputeInvocationsPerWorkgroup,
  );
  const manyOutputs = rowTile <= 4 && weight.rows >= 8192;
  return { kernel: 'gemv', ...order, workgroupSize, outputsPerLane: manyOutputs ? 4 : 2 };
}

/** What the target's tuner chose for the kernel of one row, which decides the order of sums, or the default. */
function tunedOrder(call: LinearCall, target: KernelTarget): GemvOrder {
  const tuned = target.tuning?.linear(tuningKey(call, 1));
  if (tuned === undefined) return defaultOrder();
  if (tuned.kernel !== 'gemv')
    throw new InternalError(`linear: ${tuningKey(call, 1)} is tuned for the ${tuned.kernel}`);
  return { x: tuned.x, splitK: tuned.splitK };
}

/** What a target runs a row tile with. Throws InternalError for a choice that its kernel cannot run, or that would break row invariance. */
export function gemvTuning(call: LinearCall, rowTile: GemvRowTile, target: KernelTarget): GemvTuning {
  const order = tunedOrder(call, target);
  const chosen = chosenTuning(call, rowTile, target, order);
  if (chosen.kernel === 'gemv' && sameOrder(chosen, order)) return chosen;
  throw new InternalError(
    `linear: ${tuningKey(call, rowTile)} is tuned as ${JSON.stringify(chosen)}, its single row with ${JSON.stringify(order)}`,
  );
}

/** What a target runs more than 16 rows with. Throws InternalError for a choice that the kernel cannot run. */
export function gemmTuning(call: LinearCall, target: KernelTarget): GemmTuning {
  const chosen = chosenTuning(call, 'many', target);
  if (chosen.kernel === 'gemm') return chosen;
  throw new InternalError(`linear: ${tuningKey(call, 'many')} is tuned for the ${chosen.kernel}`);
}

function chosenTuning(call: LinearCall, rowTile: LinearRowTile, target: KernelTarget, order?: GemvOrder): LinearTuning {
  const { capabilities, tuning } = target;
  const chosen = tuning?.linear(tuningKey(call, rowTile));
  if (chosen === undefined) return defaultLinearTuning(call, rowTile, capabilities, order);
  const name = JSON.stringify(sorted(chosen));
  if (!linearTunings(call, rowTile, capabilities, order).some((legal) => JSON.stringify(sorted(legal)) === name)) {
    throw new InternalError(`linear: ${tuningKey(call, rowTile)} cannot run with ${name}`);
  }
  return chosen;
}

function sorted(tuning: LinearTuning): [string, unknown][] {
  return Object.entries(tuning).sort(([a], [b]) => (a < b ? -1 : 1));
}
