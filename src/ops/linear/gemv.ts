import { InternalError } from '../../errors';
import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import type { Dispatch, KernelTarget, RowBucket, WeightPart } from '../op';
import { reductionSwap } from '../reduction';
import type { StepShape } from '../step_layout';
import type { GemvTuning } from '../tuning';
import { blocksPerRow, quantSwap } from '../weights/layout';
import { isGated, storeVariant } from './epilogue';
import { linearTraffic, rowsOf } from './traffic';
import { GEMV_ROW_TILES, type GemvRowTile, gemvTuning, lanesOf } from './tuning';

/** Rows of the largest tile: from here on a call is the GEMM's, or runs in several tiles. */
export const MAX_GEMV_ROWS = GEMV_ROW_TILES[GEMV_ROW_TILES.length - 1];

/** A row tile and the rows that its kernel computes in a step: all of them, or none where another tile's kernel does. */
export interface GemvTile {
  readonly tile: GemvRowTile;
  readonly rowsToRun: (call: LinearCall, step: StepShape) => number;
}

/** The row tiles that a bucket can need. */
export function gemvTiles({ minRows, maxRows }: RowBucket): GemvTile[] {
  return GEMV_ROW_TILES.map((tile, i) => ({
    tile,
    above: i === 0 ? 0 : GEMV_ROW_TILES[i - 1],
    upTo: tile === MAX_GEMV_ROWS ? Number.POSITIVE_INFINITY : tile,
  }))
    .filter(({ above, upTo }) => above < maxRows && upTo >= minRows)
    .map(({ tile, above, upTo }) => ({
      tile,
      rowsToRun: (call, step) => {
        const rows = rowsOf(call, step);
        return rows > above && rows <= upTo ? rows : 0;
      },
    }));
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
  return gemvTiles(target.bucket).flatMap((rows) =>
    parts.map((part, index) => {
      return gemvDispatch(call, target, { part, index }, rows, gemvTuning(call, rows.tile, target));
    }),
  );
}

/** Workgroups along x and y of a part's dispatch. */
export function gemvGroups(
  call: LinearCall,
  { rows }: WeightPart,
  { splitK, workgroupSize, outputsPerLane }: GemvTuning,
  { limits }: Capabilities,
): readonly [x: number, y: number] {
  const [outputs, slots] = isGated(call) ? [rows / 2, outputsPerLane / 2] : [rows, outputsPerLane];
  const groups = Math.ceil(outputs / ((workgroupSize / lanesOf(call, { splitK })) * slots));
  const x = Math.min(groups, limits.maxComputeWorkgroupsPerDimension);
  return [x, Math.ceil(groups / x)];
}

/** The kernel of one part of the weight for one row tile. */
export function gemvDispatch(
  call: LinearCall,
  target: KernelTarget,
  { part, index }: { readonly part: WeightPart; readonly index: number },
  { tile, rowsToRun }: GemvTile,
  tuning: GemvTuning,
): Dispatch {
  const { x, weight, out, norm, bias } = call;
  const gated = isGated(call);
  const { splitK, workgroupSize, outputsPerLane, unrolled } = tuning;
  const direct = tuning.x === 'direct';
  const dot4 = tuning.arithmetic === 'dot4';
  const store = storeVariant(call, part);
  const outputs = gated ? part.rows / 2 : part.rows;
  const [groupsX, groupsY] = gemvGroups(call, part, tuning, target.capabilities);
  return {
    label: `gemv ${weight.format} ${weight.cols}→${outputs} ${tile} rows ${dot4 ? 'dot4' : tuning.x} ${workgroupSize}×${outputsPerLane} split ${splitK} ${tuning.reduction}${norm ? ' norm' : ''}${gated ? ` ${call.epilogue}` : ''}`,
    source: {
      entry: dot4 ? 'ops/linear_gemv_dot4.wgsl' : direct ? 'ops/linear_gemv_direct.wgsl' : 'ops/linear_gemv.wgsl',
      swaps: {
        ...quantSwap(weight.format),
        ...store.swaps,
        ...reductionSwap(tuning.reduction),
        ...(bias ? {} : { 'lib/linear_bias.wgsl': 'lib/linear_no_bias.wgsl' }),
      },
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
      { kind: 'weight', tensor: weight, part: index, plane: 'scales' },
      // A binding that the variant does not read still has to be something.
      norm ? { kind: 'vector', tensor: norm.weight } : { kind: 'activation', tensor: x, access: 'read' },
      { kind: 'activation', tensor: out, access: 'write' },
      ...(bias ? [{ kind: 'vector', tensor: bias } as const] : []),
    ],
    workgroups: (step) => [groupsX, groupsY, Math.ceil(rowsToRun(call, step) / tile)],
    traffic: (step) => {
      const rows = rowsToRun(call, step);
      return linearTraffic(call, part, rows, Math.ceil(rows / tile));
    },
  };
}
