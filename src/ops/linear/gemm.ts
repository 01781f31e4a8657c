import { InternalError } from '../../errors';
import type { LinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget } from '../op';
import { blocksPerRow, quantSwap } from '../weights/layout';
import { isGated, storeVariant } from './epilogue';
import { linearTraffic, rowsOf } from './traffic';
import { gemmTuning } from './tuning';

/** The compute-bound kernels of a call: one dispatch per weight part. Norms and gated units are calls of their own in large steps. */
export function gemmDispatches(call: LinearCall, target: KernelTarget): readonly Dispatch[] {
  const { x, weight, out, bias } = call;
  if (call.norm || isGated(call)) {
    throw new InternalError(
      `linear: "${weight.name}" has a fused ${call.norm ? 'norm' : call.epilogue} in a bucket of ${target.bucket.maxRows} rows`,
    );
  }
  const { tileRows, tileColumns, tileType } = gemmTuning(call, target);
  return target.weightParts(weight).map((part, index): Dispatch => {
    const store = storeVariant(call, part);
    const scales: Binding = { kind: 'weight', tensor: weight, part: index, plane: 'scales' };
    return {
      label: `gemm ${weight.format} ${weight.cols}→${part.rows} ${tileRows}×${tileColumns} ${tileType}`,
      source: {
        entry: 'ops/linear_gemm.wgsl',
        swaps: quantSwap(weight.format),
        aliases: { ...store.aliases, Act: x.type, Tile: tileType },
        constants: {
          ...store.constants,
          SAMPLED: out.rows === 'sampled',
          GATHER: out.rows === 'sampled' && x.rows === 'step',
        },
        overrides: {
          COLS: weight.cols,
          BLOCKS: blocksPerRow(weight.cols),
          PART_ROWS: part.rows,
          ...store.overrides,
        },
      },
      bindings: [
        { kind: 'step' },
        { kind: 'activation', tensor: x, access: 'read' },
        { kind: 'weight', tensor: weight, part: index, plane: 'quants' },
        scales,
        bias ? { kind: 'vector', tensor: bias } : scales,
        { kind: 'activation', tensor: out, access: 'write' },
      ],
      workgroups: (step) => [Math.ceil(part.rows / tileColumns), Math.ceil(rowsOf(call, step) / tileRows), 1],
      traffic: (step) => linearTraffic(call, part, rowsOf(call, step), Math.ceil(rowsOf(call, step) / tileRows)),
    };
  });
}
