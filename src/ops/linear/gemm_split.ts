/** The scratch and the second dispatch of a GEMM whose columns several workgroups share. */
import type { LinearCall } from '../calls';
import type { Binding, Dispatch, WeightPart } from '../op';
import type { StepShape } from '../step_layout';
import type { GemmTuning } from '../tuning';
import { storeVariant } from './epilogue';
import { gemmSplits, maxSplits, tileColumnsOf } from './gemm_space';
import { resultTraffic } from './traffic';

const SUM_LANES = 64;

/** How the steps of a tile split the columns of a part of the weight. */
export interface GemmSplit {
  /** Shares of the columns in a step that runs so many rows of the tile: 1 where its grid is large enough. */
  readonly splits: (rows: number) => number;
  /** Bytes of the partial sums of a step; 0 where there are none. */
  readonly bytes: (rows: number) => number;
  /** [share][row][column of the part]: as large as the largest step that splits needs it. */
  readonly partials: Extract<Binding, { kind: 'scratch' }>;
}

/** Undefined where no step of `fewest` to `most` rows splits. */
export function gemmSplit(
  call: LinearCall,
  part: WeightPart,
  tuning: GemmTuning,
  { fewest, most }: { readonly fewest: number; readonly most: number },
): GemmSplit | undefined {
  const splits = (rows: number): number => gemmSplits(call, tuning, rows, part.rows);
  const bytes = (rows: number): number => (splits(rows) > 1 ? splits(rows) * rows * part.rows * 4 : 0);
  if (splits(fewest) === 1) return undefined;
  // A grid has as many shares for any rows of its last tiles: what is needed grows up to their last row.
  let largest = 0;
  for (let tiles = Math.ceil(fewest / tuning.tileRows); ; tiles++) {
    const rows = Math.min(tiles * tuning.tileRows, most);
    largest = Math.max(largest, bytes(rows));
    if (rows === most || splits(rows) === 1) break;
  }
  return {
    splits,
    bytes,
    partials: { kind: 'scratch', name: 'linear.partials', bytes: largest, access: 'write' },
  };
}

/** Adds up the shares of the steps that have them, and finishes the values. */
export function sumDispatch(
  call: LinearCall,
  part: WeightPart,
  tuning: GemmTuning,
  { splits, bytes, partials }: GemmSplit,
  rowsToRun: (step: StepShape) => number,
): Dispatch {
  const { out, bias } = call;
  const store = storeVariant(call, part);
  const sums: Binding = { ...partials, access: 'read' };
  return {
    label: `gemm sum ${part.rows} split to ${tuning.splitTo} ${out.type}`,
    source: {
      entry: 'ops/linear_gemm_sum.wgsl',
      swaps: store.swaps,
      aliases: store.aliases,
      constants: { ...store.constants, SAMPLED: out.rows === 'sampled' },
      overrides: {
        ...store.overrides,
        PART_ROWS: part.rows,
        TILE_ROWS: tuning.tileRows,
        TILES: Math.ceil(part.rows / tileColumnsOf(tuning)),
        SPLIT_TO: tuning.splitTo,
        MAX_SPLITS: maxSplits(call),
      },
    },
    bindings: [
      { kind: 'step' },
      sums,
      // A binding that the variant does not read still has to be something.
      bias ? { kind: 'vector', tensor: bias } : sums,
      { kind: 'activation', tensor: out, access: 'write' },
    ],
    workgroups: (step) => {
      const rows = rowsToRun(step);
      return [Math.ceil(part.rows / SUM_LANES), splits(rows) > 1 ? rows : 0, 1];
    },
    traffic: (step) => bytes(rowsToRun(step)) + resultTraffic(call, part, rowsToRun(step)),
  };
}
