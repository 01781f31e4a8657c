import { InternalError } from '../../errors';
import type { Capabilities } from '../../gpu/capabilities';
import type { KernelSource } from '../../gpu/kernel';
import type { LinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget, WeightPart } from '../op';
import type { StepShape } from '../step_layout';
import type { GemmTuning } from '../tuning';
import { blocksPerRow, quantSwap } from '../weights/layout';
import { isGated, storeVariant } from './epilogue';
import { codesDispatch, type GemmCodes, gemmCodes } from './gemm_codes';
import { type GemmRowTile, gemmRowTiles, tileColumnsOf } from './gemm_space';
import { type GemmSplit, gemmSplit, sumDispatch } from './gemm_split';
import { productTraffic, resultTraffic, rowsOf } from './traffic';
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
 * The compute-bound kernels of a call: a product per weight part and row tile, of which a step runs those of its row count; before it x
 * is turned into codes where they are multiplied, after it the sums of workgroups that share columns are added up. Norms and gated units are
 * calls of their own in large steps.
 */
export function gemmDispatches(call: LinearCall, target: KernelTarget): readonly Dispatch[] {
  if (call.norm || isGated(call)) {
    throw new InternalError(
      `linear: "${call.weight.name}" has a fused ${call.norm ? 'norm' : call.epilogue} in a bucket of ${target.bucket.maxRows} rows`,
    );
  }
  return tilesOf(target).flatMap(({ tile, above, upTo }) => {
    const tuning = gemmTuning(call, tile, target);
    const rowsToRun = (step: StepShape): number => {
      const rows = rowsOf(call, step);
      return rows > above && rows <= upTo ? rows : 0;
    };
    const { minRows, maxRows } = target.bucket;
    const served = { fewest: Math.max(above + 1, minRows), most: Math.min(upTo, maxRows) };
    const codes = tuning.tileType === 'i8' ? gemmCodes(call, target, served.most) : undefined;
    const products = target.weightParts(call.weight).flatMap((part, index) => {
      const split = gemmSplit(call, part, tuning, served);
      const product = productDispatch(call, target, part, index, tuning, { split, codes }, rowsToRun);
      return split ? [product, sumDispatch(call, part, tuning, split, rowsToRun)] : [product];
    });
    return codes ? [codesDispatch(call, codes, rowsToRun), ...products] : products;
  });
}

/** The kernel of a tuning, but for how it finishes its values. */
function productSource(call: LinearCall, tuning: GemmTuning, capabilities: Capabilities): KernelSource {
  const { x, out } = call;
  const { tileRows, rowsPerLane, kStep, tileType, unrolled, matrix } = tuning;
  const sampled = { SAMPLED: out.rows === 'sampled' };
  const lanes = { TILE_ROWS: tileRows, ROWS_PER_LANE: rowsPerLane, UNROLLED: unrolled };
  if (tileType === 'i8') return { entry: 'ops/linear_gemm_dot4.wgsl', constants: { ...sampled, ...lanes } };
  const input = {
    aliases: { Act: x.type, Tile: tileType },
    overrides: { COLS: call.weight.cols },
  };
  const rows = { ...sampled, GATHER: out.rows === 'sampled' && x.rows === 'step' };
  if (!matrix) {
    return { ...input, entry: 'ops/linear_gemm.wgsl', constants: { ...rows, ...lanes, STEP_QUADS: kStep / 4 } };
  }
  const { m: M, n: N, k: K } = matrix;
  const unit = { M, N, K, K_STEP: kStep, TILE_SIDE: tileRows, SUBGROUP: capabilities.subgroupMaxSize };
  return { ...input, entry: 'ops/linear_gemm_matrix.wgsl', constants: { ...rows, ...unit } };
}

function productDispatch(
  call: LinearCall,
  target: KernelTarget,
  part: WeightPart,
  index: number,
  tuning: GemmTuning,
  { split, codes }: { readonly split: GemmSplit | undefined; readonly codes: GemmCodes | undefined },
  rowsToRun: (step: StepShape) => number,
): Dispatch {
  const { x, weight, out, bias } = call;
  const { tileRows, rowsPerLane, kStep, tileType, matrix, splitTo } = tuning;
  const tileColumns = tileColumnsOf(tuning);
  const store = storeVariant(call, part);
  const source = productSource(call, tuning, target.capabilities);
  const how = matrix ? `matrices ${matrix.m}×${matrix.n}×${matrix.k}` : `${rowsPerLane} rows a lane`;
  const scales: Binding = { kind: 'weight', tensor: weight, part: index, plane: 'scales' };
  return {
    label: `gemm ${weight.format} ${weight.cols}→${part.rows} ${tileRows}×${tileColumns}×${kStep} ${how} ${tileType}${split ? ` split to ${splitTo}` : ''}`,
    source: {
      entry: source.entry,
      swaps: {
        ...quantSwap(weight.format),
        ...store.swaps,
        ...(split ? { 'lib/gemm_whole.wgsl': 'lib/gemm_split.wgsl' } : {}),
      },
      aliases: { ...store.aliases, ...source.aliases },
      constants: { ...store.constants, ...source.constants },
      overrides: {
        ...store.overrides,
        ...source.overrides,
        BLOCKS: blocksPerRow(weight.cols),
        PART_ROWS: part.rows,
      },
    },
    bindings: [
      { kind: 'step' },
      codes?.codes ?? { kind: 'activation', tensor: x, access: 'read' },
      { kind: 'weight', tensor: weight, part: index, plane: 'quants' },
      scales,
      // A binding that the variant does not read still has to be something.
      bias ? { kind: 'vector', tensor: bias } : scales,
      { kind: 'activation', tensor: out, access: 'write' },
      ...(codes || split ? [codes?.scales ?? scales] : []),
      ...(split ? [split.partials] : []),
    ],
    workgroups: (step) => {
      const rows = rowsToRun(step);
      return [Math.ceil(part.rows / tileColumns), Math.ceil(rows / tileRows), split?.splits(rows) ?? 1];
    },
    traffic: (step) => {
      const rows = rowsToRun(step);
      const sums = split?.bytes(rows) ?? 0;
      const results = sums > 0 ? sums : resultTraffic(call, part, rows);
      return productTraffic(call, part, rows, Math.ceil(rows / tileRows), codes?.rowBytes) + results;
    },
  };
}
