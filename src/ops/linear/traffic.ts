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
  const planes = planeBytes(call.weight.format, part.rows, call.weight.cols);
  const outCols = isGated(call) ? part.rows / 2 : part.rows;
  const outBytes = outCols * elementBytes(call.out.type) * (call.accumulate ? 2 : 1);
  const vectors = (call.norm ? call.weight.cols * 4 : 0) + (call.bias ? part.rows * 4 : 0);
  return (
    (planes.quants + planes.scales) * weightReads +
    rows * (call.x.cols * elementBytes(call.x.type) + outBytes) +
    vectors
  );
}
