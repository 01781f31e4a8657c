import { InternalError } from '../../errors';
import type { LinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget, WeightPart } from '../op';
import { reductionSwap } from '../reduction';
import type { StepShape } from '../step_layout';
import type { GemvTuning } from '../tuning';
import { blocksPerRow, quantSwap } from '../weights/layout';
import { isGated, storeVariant } from './epilogue';
import { linearTraffic, rowsOf } from './traffic';
import { GEMV_ROW_TILES, type GemvRowTile, gemvTuning, lanesOf } from './tuning';

/** Rows of the largest tile: from here on a call is the GEMM's, or runs in several tiles. */
export const MAX_GEMV_ROWS = GEMV_ROW_TILES[GEMV_ROW_TILES.length - 1];

/** Row tiles with the counts of rows that each serves in a bucket: (above, upTo]. */
function tilesOf(minRows: number, maxRows: number): { tile: GemvRowTile; above: number; upTo: number }[] {
  return GEMV_ROW_TILES.map((tile, i) => ({
    tile,
    above: i === 0 ? 0 : GEMV_ROW_TILES[i - 1],
    upTo: tile === MAX_GEMV_ROWS ? Number.POSITIVE_INFINITY : tile,
  })).filter(({ above, upTo }) => above < maxRows && upTo >= minRows);
}

/**
 * The memory-bound kernels of a call: one dispatch per weight part and row tile, of which a step runs those of its row count.
 * More than MAX_GEMV_ROWS rows run in several tiles (grid z), reading the weight once for each.
 */
export function gemvDispatches(call: LinearCall, target: KernelTarget): readonly Dispatch[] {
  const parts = target.weightParts(call.weight);
  if (isGated(call) && parts.length > 1) {
    throw new InternalError(
      `linear: "${call.weight.name}" is split into ${parts.length} parts and cannot be fused with ${call.epilogue}`,
    );
  }
  return tilesOf(target.bucket.minRows, target.bucket.maxRows).flatMap(({ tile, above, upTo }) =>
    parts.map((part, index) => {
      const chosen = gemvTuning(call, tile, target);
      const rowsToRun = (step: StepShape): number => {
        const rows = rowsOf(call, step);
        return rows > above && rows <= upTo ? rows : 0;
      };
      return partDispatch(call, target, part, index, tile, chosen, rowsToRun);
    }),
  );
}

function partDispatch(
  call: LinearCall,
  target: KernelTarget,
  part: WeightPart,
  index: number,
  tile: GemvRowTile,
  tuning: GemvTuning,
  rowsToRun: (step: StepShape) => number,
): Dispatch {
  const { x, weight, out, norm, bias } = call;
  const gated = isGated(call);
  const { splitK, workgroupSize, outputsPerLane, unrolled } = tuning;
  const direct = tuning.x === 'direct';
  const dot4 = tuning.arithmetic === 'dot4';
  const store = storeVariant(call, part);
  const lanes = lanesOf(call, { splitK });
  const outputs = gated ? part.rows / 2 : part.rows;
  const groups = Math.ceil(outputs / ((workgroupSize / lanes) * (gated ? outputsPerLane / 2 : outputsPerLane)));
  const groupsX = Math.min(groups, target.capabilities.limits.maxComputeWorkgroupsPerDimension);
  const scales: Binding = { kind: 'weight', tensor: weight, part: index, plane: 'scales' };
  return {
    label: `gemv ${weight.format} ${weight.cols}→${outputs} ${tile} rows ${dot4 ? 'dot4' : tuning.x} ${workgroupSize}×${outputsPerLane} split ${splitK} ${tuning.reduction}${norm ? ' norm' : ''}${gated ? ` ${call.epilogue}` : ''}`,
    source: {
      entry: dot4 ? 'ops/linear_gemv_dot4.wgsl' : direct ? 'ops/linear_gemv_direct.wgsl' : 'ops/linear_gemv.wgsl',
      swaps: { ...quantSwap(weight.format), ...store.swaps, ...reductionSwap(tuning.reduction) },
      aliases: { ...store.aliases, Act: x.type },
      constants: {
        ROWS: tile,
        OUTS: outputsPerLane,
        WORKGROUP: workgroupSize,
        SPLIT: splitK,
        UNROLLED: unrolled,
        // Room for the rows of as many sweeps as the lanes read at once.
        MAX_TILE_ROWS: direct || tile === 1 ? 8 : 8 / splitK,
        ...(dot4 ? {} : { NORM_ON_READ: direct && norm !== undefined }),
        NORM: norm !== undefined,
        ...store.constants,
        SAMPLED: out.rows === 'sampled',
        GATHER: out.rows === 'sampled' && x.rows === 'step',
      },
      overrides: {
        COLS: weight.cols,
        BLOCKS: blocksPerRow(weight.cols),
        PART_ROWS: part.rows,
        ...store.overrides,
        EPS: norm?.eps ?? 0,
      },
    },
    bindings: [
      { kind: 'step' },
      { kind: 'activation', tensor: x, access: 'read' },
      { kind: 'weight', tensor: weight, part: index, plane: 'quants' },
      scales,
      // A binding that the variant does not read still has to be something.
      norm ? { kind: 'vector', tensor: norm.weight } : scales,
      bias ? { kind: 'vector', tensor: bias } : scales,
      { kind: 'activation', tensor: out, access: 'write' },
    ],
    workgroups: (step) => [groupsX, Math.ceil(groups / groupsX), Math.ceil(rowsToRun(step) / tile)],
    traffic: (step) => linearTraffic(call, part, rowsToRun(step), Math.ceil(rowsToRun(step) / tile)),
  };
}
