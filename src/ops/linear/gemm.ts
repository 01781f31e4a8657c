import { InternalError } from '../../errors';
import type { LinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget, WeightPart } from '../op';
import type { StepShape } from '../step_layout';
import { blocksPerRow, quantSwap } from '../weights/layout';
import { isGated, storeVariant } from './epilogue';
import { type GemmRowTile, gemmRowTiles, tileColumnsOf } from './gemm_space';
import { linearTraffic, rowsOf } from './traffic';
import { gemmTuning } from './tuning';

/** Row tiles with the counts of rows that each serves in a bucket: (above, upTo]. */
function tilesOf(target: KernelTarget): { tile: GemmRowTile; above: number; upTo: number }[] {
  const { minRows, maxRows } = target.bucket;
  return gemmRowTiles(target.capabilities)
    .map((tile, i, tiles) => ({
      tile,
      above: i === 0 ? 0 : Number(tiles[i - 1]),
      upTo: tile === 'many' ? Number.POSITIVE_INFINITY : tile,
    }))
    .filter(({ above, upTo }) => above < maxRows && upTo >= minRows);
}

/**
 * The compute-bound kernels of a call: one dispatch per weight part and row tile, of which a step runs those of its row count. Norms and
 * gated units are calls of their own in large steps.
 */
export function gemmDispatches(call: LinearCall, target: KernelTarget): readonly Dispatch[] {
  if (call.norm || isGated(call)) {
    throw new InternalError(
      `linear: "${call.weight.name}" has a fused ${call.norm ? 'norm' : call.epilogue} in a bucket of ${target.bucket.maxRows} rows`,
    );
  }
  return tilesOf(target).flatMap(({ tile, above, upTo }) => {
    const rowsToRun = (step: StepShape): number => {
      const rows = rowsOf(call, step);
      return rows > above && rows <= upTo ? rows : 0;
    };
    return target
      .weightParts(call.weight)
      .map((part, index) => partDispatch(call, target, part, index, tile, rowsToRun));
  });
}

function partDispatch(
  call: LinearCall,
  target: KernelTarget,
  part: WeightPart,
  index: number,
  tile: GemmRowTile,
  rowsToRun: (step: StepShape) => number,
): Dispatch {
  const { x, weight, out, bias } = call;
  const tuning = gemmTuning(call, tile, target);
  const { tileRows, rowsPerLane, kStep, tileType, unrolled, matrix } = tuning;
  const tileColumns = tileColumnsOf(tuning);
  const store = storeVariant(call, part);
  const unit: Readonly<Record<string, number | boolean>> = matrix
    ? {
        M: matrix.m,
        N: matrix.n,
        K: matrix.k,
        K_STEP: kStep,
        TILE_SIDE: tileRows,
        SUBGROUP: target.capabilities.subgroupMaxSize,
      }
    : { TILE_ROWS: tileRows, ROWS_PER_LANE: rowsPerLane, STEP_QUADS: kStep / 4, UNROLLED: unrolled };
  const how = matrix ? `matrices ${matrix.m}×${matrix.n}×${matrix.k}` : `${rowsPerLane} rows a lane`;
  const scales: Binding = { kind: 'weight', tensor: weight, part: index, plane: 'scales' };
  return {
    label: `gemm ${weight.format} ${weight.cols}→${part.rows} ${tileRows}×${tileColumns}×${kStep} ${how} ${tileType}`,
    source: {
      entry: matrix ? 'ops/linear_gemm_matrix.wgsl' : 'ops/linear_gemm.wgsl',
      swaps: { ...quantSwap(weight.format), ...store.swaps },
      aliases: { ...store.aliases, Act: x.type, Tile: tileType },
      constants: {
        ...store.constants,
        SAMPLED: out.rows === 'sampled',
        GATHER: out.rows === 'sampled' && x.rows === 'step',
        ...unit,
      },
      overrides: {
        ...store.overrides,
        COLS: weight.cols,
        BLOCKS: blocksPerRow(weight.cols),
        PART_ROWS: part.rows,
      },
    },
    bindings: [
      { kind: 'step' },
      { kind: 'activation', tensor: x, access: 'read' },
      { kind: 'weight', tensor: weight, part: index, plane: 'quants' },
      scales,
      // A binding that the variant does not read still has to be something.
      bias ? { kind: 'vector', tensor: bias } : scales,
      { kind: 'activation', tensor: out, access: 'write' },
    ],
    workgroups: (step) => [Math.ceil(part.rows / tileColumns), Math.ceil(rowsToRun(step) / tileRows), 1],
    traffic: (step) => linearTraffic(call, part, rowsToRun(step), Math.ceil(rowsToRun(step) / tileRows)),
  };
}
