import type { LinearCall } from '../calls';
import type { WeightPart } from '../op';
import { elementBytes } from '../shape_check';
import type { StepShape } from '../step_layout';
import { planeBytes } from '../weights/layout';
import { isGated } from './epilogue';

/** Rows of a step that a call computes. */
export function rowsOf(call: LinearCall, step: StepShape): number {
  return call.out.rows === 'sampled' ? step.sampledRows : step.rows;
}

/** Bytes of one part's planes and of the activations, each counted once: `weightReads` times the planes. */
export function linearTraffic(call: LinearCall, part: WeightPart, rows: number, weightReads: number): number {
  return productTraffic(call, part, rows, weightReads) + resultTraffic(call, part, rows);
}

/** What a product reads: one part's planes `weightReads` times, x once, which takes `rowBytes` a row. */
export function productTraffic(
  call: LinearCall,
  part: WeightPart,
  rows: number,
  weightReads: number,
  rowBytes = call.x.cols * elementBytes(call.x.type),
): number {
  const planes = planeBytes(call.weight.format, part.rows, call.weight.cols);
  const norm = call.norm ? call.weight.cols * 4 : 0;
  return (planes.quants + planes.scales) * weightReads + rows * rowBytes + norm;
}

/** What finishing its values reads and writes. */
export function resultTraffic(call: LinearCall, part: WeightPart, rows: number): number {
  const outCols = isGated(call) ? part.rows / 2 : part.rows;
  const outBytes = outCols * elementBytes(call.out.type) * (call.accumulate ? 2 : 1);
  return rows * outBytes + (call.bias ? part.rows * 4 : 0);
}
