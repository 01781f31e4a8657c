import type { OpCall } from '../ops/calls';
import { kvValueBytes } from '../ops/kv_layout';
import type { KvType } from '../ops/op';
import { planeBytes } from '../ops/weights/layout';

/** Consecutive rows of one sequence: the last `rows` of its `length` positions. */
export interface SequenceStep {
  readonly rows: number;
  readonly length: number;
  readonly sampledRows: number;
}

/** The least that a step costs whatever the kernels: every weight and every cached position read once, every product computed. */
export interface StepCost {
  readonly weightBytes: number;
  readonly kvBytes: number;
  /** Multiplications and additions of the matmuls and of attention. */
  readonly flops: number;
}

/** The cost of one step of a plan, of one sequence. */
export function stepCost(calls: readonly OpCall[], step: SequenceStep, kvType: KvType): StepCost {
  const { rows, length } = step;
  let weightBytes = 0;
  let kvBytes = 0;
  let flops = 0;
  for (const call of calls) {
    // What only some steps do is no part of what a step costs.
    if (call.when) continue;
    if (call.op === 'embed') {
      const row = planeBytes(call.table.format, 1, call.table.cols);
      weightBytes += rows * (row.quants + row.scales);
    } else if (call.op === 'linear') {
      const { weight, out } = call;
      const computed = out.rows === 'sampled' ? step.sampledRows : rows;
      if (computed === 0) continue;
      const planes = planeBytes(weight.format, weight.rows, weight.cols);
      weightBytes += planes.quants + planes.scales;
      flops += 2 * computed * weight.rows * weight.cols;
    } else if (call.op === 'expert_linear') {
      const { weight, experts, routing } = call;
      const pairs = (rows * routing.cols) / 2;
      const planes = planeBytes(weight.format, weight.rows, weight.cols);
      // Rows may choose the same experts: with more pairs than experts the least is unknown, all of them the most.
      weightBytes += ((planes.quants + planes.scales) / experts) * Math.min(pairs, experts);
      flops += (2 * pairs * weight.rows * weight.cols) / experts;
    } else if (call.op === 'attention') {
      const { cache, numHeads, mask, window = Number.POSITIVE_INFINITY } = call;
      const most = mask === 'full' ? 2 * Math.floor(window / 2) + 1 : window;
      let pairs = 0;
      for (let position = length - rows; position < length; position++) {
        pairs += Math.min(mask === 'full' ? length : position + 1, most);
      }
      // The first row of the step sees furthest back.
      const read = Math.min(length, most + rows - 1);
      kvBytes += 2 * kvValueBytes(kvType, read * cache.numKvHeads * cache.headDim);
      // A product with K and one with V, two operations each.
      flops += 4 * pairs * numHeads * cache.headDim;
    }
  }
  return { weightBytes, kvBytes, flops };
}
