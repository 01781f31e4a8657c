/** The variants of the linear kernels as a space to search, what runs without a search, and what a target's tuner chose. */
import { InternalError } from '../../errors';
import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import type { KernelTarget } from '../op';
import { reductionsOf } from '../reduction';
import type { GemmTuning, GemvOrder, GemvTuning, LinearTuning } from '../tuning';
import { hasIntegerCodes, laneColumns } from '../weights/layout';
import { isGated } from './epilogue';
import { GEMM_ROW_TILES, type GemmRowTile, gemmTunings, isGemm, wantedGemm } from './gemm_space';

/** Rows that one GEMV pipeline reads a weight for. */
export const GEMV_ROW_TILES = [1, 4, 16] as const;
export type GemvRowTile = (typeof GEMV_ROW_TILES)[number];

/** Row counts that have kernels of their own. */
export const LINEAR_ROW_TILES = [...GEMV_ROW_TILES, ...GEMM_ROW_TILES] as const;
export type LinearRowTile = (typeof LINEAR_ROW_TILES)[number];

/** Columns of a sweep: what the lanes of an output cover at once, times splitK. */
const SWEEP = 256;
/** vec4 of a workgroup's partial sums: 8 KiB, beside up to 4 KiB of square sums. */
const PARTIAL_SUMS = 512;
/** Sweeps of one row of x that the staged kernel has room for. */
const STAGED_SWEEPS = 8;
/** With 4×8-bit products, beside the codes of x: partial sums, and the splits of which workgroup memory holds the sweeps of four rows. */
const DOT4_PARTIAL_SUMS = 256;
const DOT4_SPLIT = 2;
/** Enough invocations to fill the large GPUs of today, one output or two a lane. */
const ENOUGH_LANES = 16384;

const SPLITS = [1, 2, 4, 8] as const;
const WORKGROUP_SIZES = [64, 128, 256] as const;
const OUTPUTS = [1, 2, 4] as const;

/** Equal for calls that run the same kernels: what a choice is remembered by. */
export function tuningKey(call: LinearCall, rowTile: LinearRowTile): string {
  const { x, weight, out, norm, bias, accumulate, epilogue } = call;
  const traits = [
    norm && 'norm',
    bias && 'bias',
    accumulate && 'accumulate',
    isGated(call) && epilogue,
    out.rows === 'sampled' && 'sampled',
  ].filter((trait) => trait);
  const shape = `${weight.format} ${weight.cols}→${weight.rows} ${x.type}→${out.type}`;
  return [shape, ...traits, `rows ${rowTile}`].join(' ');
}

/** Invocations that share an output. */
export function lanesOf(call: LinearCall, { splitK }: Pick<GemvOrder, 'splitK'>): number {
  return (SWEEP / laneColumns(call.weight.format)) * splitK;
}

/** The order of sums that a tuning of up to 16 rows stands for. */
export function orderOf({ splitK, arithmetic, reduction }: GemvTuning): GemvOrder {
  return { splitK, arithmetic, reduction };
}

/** The orders of sums to choose from: a tuner chooses one for a call, and then each row tile's tuning within it. */
export function gemvOrders(call: LinearCall, capabilities: Capabilities): readonly GemvOrder[] {
  const largest = Math.min(256, capabilities.limits.maxComputeInvocationsPerWorkgroup);
  // A lane without a sweep would only cost.
  const useful = SPLITS.filter(
    (splitK) => splitK === 1 || (splitK * SWEEP <= call.weight.cols && lanesOf(call, { splitK }) <= largest),
  );
  // Two bytes a value are finer than halves, and coarser than what f32 activations may lose.
  const exact = capabilities.dot4 && call.x.type === 'f16' && hasIntegerCodes(call.weight.format);
  const dot4 = exact ? useful.filter((splitK) => splitK <= DOT4_SPLIT) : [];
  return reductionsOf(capabilities).flatMap((reduction) => [
    ...useful.map((splitK): GemvOrder => ({ splitK, arithmetic: 'float', reduction })),
    ...dot4.map((splitK): GemvOrder => ({ splitK, arithmetic: 'dot4', reduction })),
  ]);
}

/**
 * Every tuning that the kernel of a call can run with on a device: what an autotuner may choose from. For up to 16 rows those of one
 * order of sums, which has to be the same for all of a call's tiles; `order` absent: the default's.
 */
export function linearTunings(
  call: LinearCall,
  rowTile: LinearRowTile,
  capabilities: Capabilities,
  order: GemvOrder = defaultOrder(call, capabilities),
): readonly LinearTuning[] {
  if (isGemm(rowTile)) return gemmTunings(call, capabilities);
  // A lane of a gated unit needs a gate and its up projection.
  const fewest = isGated(call) ? 2 : 1;
  const largest = capabilities.limits.maxComputeInvocationsPerWorkgroup;
  const partialSums = order.arithmetic === 'dot4' ? DOT4_PARTIAL_SUMS : PARTIAL_SUMS;
  const tunings: GemvTuning[] = [];
  for (const x of ['staged', 'direct'] as const) {
    if (x === 'staged' ? !canStage(rowTile, order) : order.arithmetic === 'dot4') continue;
    for (const workgroupSize of WORKGROUP_SIZES) {
      if (workgroupSize > largest || workgroupSize < lanesOf(call, order)) continue;
      for (const outputsPerLane of OUTPUTS) {
        if (outputsPerLane < fewest || workgroupSize * outputsPerLane > partialSums) continue;
        tunings.push({ kernel: 'gemv', ...order, x, workgroupSize, outputsPerLane, unrolled: !capabilities.software });
      }
    }
  }
  return tunings;
}

/** Whether workgroup memory holds the sweeps that an output's lanes read at once, of the four rows or one that they compute at least. */
function canStage(rowTile: GemvRowTile, { splitK, arithmetic }: GemvOrder): boolean {
  if (arithmetic === 'dot4') return splitK <= DOT4_SPLIT;
  return splitK * Math.min(rowTile, 4) <= STAGED_SWEEPS;
}

/** The tuning that has most of what is wanted. */
function nearest(tunings: readonly LinearTuning[], wanted: Readonly<Record<string, unknown>>): LinearTuning {
  const misses = (tuning: LinearTuning): number =>
    // Matrix units are an experiment, and codes are no faster everywhere: nothing but a measurement may choose them.
    ('matrix' in tuning || ('tileType' in tuning && tuning.tileType === 'i8') ? 100 : 0) +
    Object.entries(wanted).filter(([name, value]) => (tuning as unknown as Record<string, unknown>)[name] !== value)
      .length;
  return tunings.reduce((best, tuning) => (misses(tuning) < misses(best) ? tuning : best));
}

/** As many lanes an output as fill a GPU, while each has two vectors to read. A CPU is filled by anything. */
function defaultOrder(call: LinearCall, capabilities: Capabilities): GemvOrder {
  const [reduction] = reductionsOf(capabilities);
  const orders = gemvOrders(call, capabilities).filter(
    (order) => order.arithmetic === 'float' && order.reduction === reduction && lanesOf(call, order) <= 64,
  );
  if (capabilities.software) return orders[0];
  const useful = orders.filter(({ splitK }) => splitK === 1 || splitK * 2 * SWEEP <= call.weight.cols);
  const { rows } = call.weight;
  return useful.find((order) => (rows / 2) * lanesOf(call, order) >= ENOUGH_LANES) ?? useful[useful.length - 1];
}

/**
 * What to run with before anything was measured. Small workgroups keep many of them in flight for small matrices; with more rows the
 * products of four outputs no longer fit into registers. x is staged on GPUs, where neighbouring lanes then read neighbouring vectors.
 */
export function defaultLinearTuning(
  call: LinearCall,
  rowTile: LinearRowTile,
  capabilities: Capabilities,
  order: GemvOrder = defaultOrder(call, capabilities),
): LinearTuning {
  const tunings = linearTunings(call, rowTile, capabilities, order);
  if (isGemm(rowTile)) return nearest(tunings, wantedGemm(call, rowTile, capabilities));
  const large = call.weight.rows > 16384;
  const wanted = {
    x: capabilities.software ? 'direct' : 'staged',
    workgroupSize: rowTile === 1 && !large ? 64 : 128,
    outputsPerLane: rowTile <= 4 && call.weight.rows >= 8192 ? 4 : 2,
  };
  return nearest(tunings, wanted);
}

/** What the target's tuner chose for the kernel of one row, which decides the order of sums, or the default. */
function chosenOrder(call: LinearCall, { capabilities, tuning }: KernelTarget): GemvOrder {
  const tuned = tuning?.linear(tuningKey(call, 1));
  if (tuned === undefined) return defaultOrder(call, capabilities);
  if (tuned.kernel === 'gemv') return orderOf(tuned);
  throw new InternalError(`linear: ${tuningKey(call, 1)} is tuned for the ${tuned.kernel}`);
}

/**
 * What a target runs a row tile with. Throws InternalError for a choice that its kernel cannot run, or that sums in another order than
 * the choice for one row: that would break row invariance.
 */
export function gemvTuning(call: LinearCall, rowTile: GemvRowTile, target: KernelTarget): GemvTuning {
  const chosen = chosenTuning(call, rowTile, target, chosenOrder(call, target));
  if (chosen.kernel === 'gemv') return chosen;
  throw new InternalError(`linear: ${tuningKey(call, rowTile)} is tuned for the ${chosen.kernel}`);
}

/** Whether the kernel of a call's row tile can run with a tuning, in the order of sums that it has. */
export function isGemvTuning(
  call: LinearCall,
  rowTile: GemvRowTile,
  tuning: GemvTuning,
  capabilities: Capabilities,
): boolean {
  return linearTunings(call, rowTile, capabilities, orderOf(tuning)).some(
    (choice) => identity(choice) === identity(tuning),
  );
}

/** What a target runs more than 16 rows with. Throws InternalError for a choice that the kernel cannot run. */
export function gemmTuning(call: LinearCall, rowTile: GemmRowTile, target: KernelTarget): GemmTuning {
  const chosen = chosenTuning(call, rowTile, target);
  if (chosen.kernel === 'gemm') return chosen;
  throw new InternalError(`linear: ${tuningKey(call, rowTile)} is tuned for the ${chosen.kernel}`);
}

function chosenTuning(call: LinearCall, rowTile: LinearRowTile, target: KernelTarget, order?: GemvOrder): LinearTuning {
  const { capabilities, tuning } = target;
  const chosen = tuning?.linear(tuningKey(call, rowTile));
  if (chosen === undefined) return defaultLinearTuning(call, rowTile, capabilities, order);
  const legal = linearTunings(call, rowTile, capabilities, order).some(
    (choice) => identity(choice) === identity(chosen),
  );
  if (legal) return chosen;
  throw new InternalError(`linear: ${tuningKey(call, rowTile)} cannot run with ${JSON.stringify(chosen)} here`);
}

/** Equal for equal choices; unrolled code runs anywhere. */
function identity(tuning: LinearTuning): string {
  const entries = Object.entries(tuning).filter(([name]) => name !== 'unrolled');
  return JSON.stringify(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
