import { InternalError } from '../../errors';
import type { LinearCall } from '../calls';
import type { Binding, Dispatch, KernelTarget } from '../op';
import { blocksPerRow, quantSwap } from '../weights/layout';
import { linearTraffic, rowsOf } from './traffic';

/** Rows and output columns of a workgroup's tile. */
const TILE = 64;

/** The compute-bound kernels of a call: one dispatch per weight part. Norm and SwiGLU are calls of their own in large steps. */
export function gemmDispatches(call: LinearCall, target: KernelTarget): readonly Dispatch[] {
  const { x, weight, out, bias, accumulate } = call;
  if (call.norm || call.epilogue === 'swiglu') {
    throw new InternalError(
      `linear: "${weight.name}" has a fused ${call.norm ? 'norm' : 'SwiGLU'} in a bucket of ${target.bucket.maxRows} rows`,
    );
  }
  // Halves in workgroup memory only where the activations are halves: rounding the weights to them costs no more than that did.
  const tileType = target.capabilities.f16 && x.type === 'f16' ? 'f16' : 'f32';
  return target.weightParts(weight).map((part, index): Dispatch => {
    const scales: Binding = { kind: 'weight', tensor: weight, part: index, plane: 'scales' };
    return {
      label: `gemm ${weight.format} ${weight.cols}→${part.rows} ${TILE}×${TILE} ${tileType}`,
      source: {
        entry: 'ops/linear_gemm.wgsl',
        swaps: quantSwap(weight.format),
        aliases: { Act: x.type, Out: out.type, Tile: tileType },
        constants: {
          BIAS: bias !== undefined,
          ACCUMULATE: accumulate,
          SAMPLED: out.rows === 'sampled',
          GATHER: out.rows === 'sampled' && x.rows === 'step',
        },
        overrides: {
          COLS: weight.cols,
          BLOCKS: blocksPerRow(weight.cols),
          PART_ROWS: part.rows,
          FIRST_ROW: part.firstRow,
          OUT_COLS: out.cols,
          OUT_COLUMN: call.outColumn + part.firstRow,
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
      workgroups: (step) => [Math.ceil(part.rows / TILE), Math.ceil(rowsOf(call, step) / TILE), 1],
      traffic: (step) => linearTraffic(call, part, rowsOf(call, step), Math.ceil(rowsOf(call, step) / TILE)),
    };
  });
}
