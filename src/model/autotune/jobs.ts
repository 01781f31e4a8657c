import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall, OpCall } from '../../ops/calls';
import { codesFit } from '../../ops/linear/gemm_codes';
import { distinctGemms, gemmRowTiles } from '../../ops/linear/gemm_space';
import { MAX_GEMV_ROWS } from '../../ops/linear/gemv';
import {
  defaultLinearTuning,
  GEMV_ROW_TILES,
  gemvOrders,
  type LinearRowTile,
  linearTunings,
  tuningKey,
} from '../../ops/linear/tuning';
import type { RowBucket } from '../../ops/op';
import type { GemvOrder, LinearTuning, Tuning } from '../../ops/tuning';
import { planeBytes } from '../../ops/weights/layout';

/** Calls that run the same kernels at a row tile: what one choice decides. */
export interface TuningJob {
  readonly key: string;
  readonly rowTile: LinearRowTile;
  /** One per weight: a model's layers share their kernels. */
  readonly calls: readonly LinearCall[];
  /** Rows of the step that is measured. */
  readonly rows: number;
  /** The same or a few less, which fill no tile: to be right with too. */
  readonly partialRows: number;
  /** Bytes of all the weights: what the choice is worth. */
  readonly bytes: number;
}

export interface PlanOfBucket {
  readonly bucket: RowBucket;
  readonly calls: readonly OpCall[];
}

/** Equal for equal tunings, whatever the order of their fields. */
export function nameOf(tuning: Tuning): string {
  return JSON.stringify(Object.fromEntries(Object.entries(tuning).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** The default, then what else may be chosen. */
export function beginningWith<T extends Tuning>(byDefault: T, all: readonly T[]): T[] {
  const first = nameOf(byDefault);
  return [byDefault, ...all.filter((tuning) => nameOf(tuning) !== first)];
}

/**
 * Every choice that the plans leave open, the one that matters most first: one row (decode), then many (prefill), then up to 16, up
 * to 4 and, where the device has kernels for them, 17 to 48 rows; within those by the weights' bytes. A tile that no step reaches is left out.
 */
export function tuningJobs(
  plans: readonly PlanOfBucket[],
  limits: { readonly maxRows: number; readonly maxSampledRows: number },
  capabilities: Capabilities,
): TuningJob[] {
  const jobs: TuningJob[] = [];
  const large = gemmRowTiles(capabilities);
  for (const rowTile of [1, 'many', 16, 4, ...large.filter((tile) => tile !== 'many')] satisfies LinearRowTile[]) {
    const rows = rowTile === 'many' ? limits.maxRows : Math.min(rowTile, limits.maxRows);
    // Fewer rows are the next smaller tile's.
    const least = leastRows(rowTile, large);
    if (rows < least) continue;
    const partialRows = Math.max(least, rows - (rows <= 4 ? 1 : rows <= MAX_GEMV_ROWS ? 3 : 5));
    const plan = plans.find(({ bucket }) =>
      rowTile === 'many' ? bucket.minRows > MAX_GEMV_ROWS : bucket.maxRows >= rows,
    );
    const found = new Map<string, LinearCall[]>();
    for (const call of plan?.calls ?? []) {
      if (call.op !== 'linear' || call.when) continue;
      const sampled = call.out.rows === 'sampled';
      // Sampled rows are few in any step: only the small kernels serve them.
      if (sampled && (rowTile === 'many' || rowTile > Math.min(limits.maxSampledRows, MAX_GEMV_ROWS))) continue;
      const key = tuningKey(call, rowTile);
      found.set(key, [...(found.get(key) ?? []), call]);
    }
    const ofTile = [...found].map(([key, calls]): TuningJob => {
      const bytes = calls.reduce((sum, { weight }) => {
        const planes = planeBytes(weight.format, weight.rows, weight.cols);
        return sum + planes.quants + planes.scales;
      }, 0);
      return { key, rowTile, calls, rows, partialRows, bytes };
    });
    jobs.push(...ofTile.sort((a, b) => b.bytes - a.bytes));
  }
  return jobs;
}

/** Of the steps that a row tile serves. */
function leastRows(rowTile: LinearRowTile, large: readonly LinearRowTile[]): number {
  const tiles = [...GEMV_ROW_TILES, ...large];
  const below = tiles[tiles.indexOf(rowTile) - 1] ?? 0;
  return Number(below) + 1;
}

/**
 * What may be chosen for a job, the default first. One row may be summed in any order; the other tiles of up to 16 rows in the `order` that
 * one row has, so that a row's bits do not depend on its neighbours.
 */
export function candidatesOf(job: TuningJob, capabilities: Capabilities, order: GemvOrder | undefined): LinearTuning[] {
  const {
    calls: [call],
    rowTile,
  } = job;
  const byDefault = defaultLinearTuning(call, rowTile, capabilities, order);
  const all =
    rowTile === 1
      ? gemvOrders(call, capabilities).flatMap((each) => linearTunings(call, rowTile, capabilities, each))
      : linearTunings(call, rowTile, capabilities, order);
  const candidates = beginningWith(byDefault, all);
  if (byDefault.kernel !== 'gemm') return candidates;
  // What runs alike at the job's rows would be chosen by noise, and what the device cannot bind there not run at all.
  const large = candidates
    .filter((tuning) => tuning.kernel === 'gemm')
    .filter(({ tileType }) => tileType !== 'i8' || codesFit(call, job.rows, capabilities));
  return distinctGemms(call, large, job.rows, byDefault.splitTo);
}

/** In how many fields two tunings differ: time may not suffice for all of them, and a small step from a good place is the best guess. */
export function differences(a: Tuning, b: Tuning): number {
  const fields = new Map<string, unknown>(Object.entries(a));
  return Object.entries(b).filter(([field, value]) => fields.get(field) !== value).length;
}

/** The key of the job's single-row kernel, which decides the order of sums of its other small tiles. */
export function singleRowKey({ calls: [call], rowTile }: TuningJob): string | undefined {
  return rowTile === 'many' || rowTile > MAX_GEMV_ROWS ? undefined : tuningKey(call, 1);
}
