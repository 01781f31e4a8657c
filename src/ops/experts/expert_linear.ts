import { InternalError } from '../../errors';
import type { ExpertLinearCall } from '../calls';
import { dot } from '../dot';
import { gateActivation } from '../linear/epilogue';
import type { Op, ReferenceEnv } from '../op';
import { expectInteger, expectShape } from '../shape_check';
import { groupedDispatches } from './gemm';
import { pairwiseDispatches } from './gemv';
import { tileBound } from './groups';
import { shapeOf } from './shapes';

/** Rows up to which each (row, slot) pair reads its expert by itself; larger steps need `groups`. */
const MAX_PAIRWISE_ROWS = 16;

const CLAMP_LIMIT = 7;
const CLAMP_SLOPE = 1.702;

function gated(gate: number, up: number, epilogue: Exclude<ExpertLinearCall['epilogue'], 'none'>): number {
  if (epilogue !== 'swiglu_clamped') return gateActivation(epilogue, gate) * up;
  const g = Math.min(gate, CLAMP_LIMIT);
  return (g / (1 + Math.exp(-CLAMP_SLOPE * g))) * (Math.min(Math.max(up, -CLAMP_LIMIT), CLAMP_LIMIT) + 1);
}

/** Row `source` of x (rows of W.cols values) through the norm, in f64. */
function inputOf({ x, weight, norm }: ExpertLinearCall, env: ReferenceEnv, source: number): Float64Array {
  const { cols } = weight;
  const values = Float64Array.from(env.activation(x).subarray(source * cols, (source + 1) * cols));
  if (!norm) return values;
  const scale = 1 / Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / cols + norm.eps);
  const normWeight = env.vector(norm.weight);
  return values.map((value, i) => value * scale * normWeight[i]);
}

export const expertLinearOp: Op<ExpertLinearCall> = {
  name: 'expert_linear',

  check(call) {
    const { x, weight, experts, routing, groups, norm, bias, out, outColumn, combine, accumulate, epilogue } = call;
    const op = `expert_linear "${weight.name}"`;
    const { topK, outRows, width } = shapeOf(call);
    expectInteger(op, 'rows of an expert', outRows, 1);
    expectInteger(op, `topK of "${routing.name}"`, topK, 1, experts);
    expectShape(op, `type of "${routing.name}"`, routing.type, 'f32');
    if (x.cols !== weight.cols) expectShape(op, `columns of "${x.name}"`, x.cols, topK * weight.cols);
    expectShape(op, 'columns modulo 4', weight.cols % 4, 0);
    for (const tensor of [x, routing, out]) expectShape(op, `rows of "${tensor.name}"`, tensor.rows, 'step');
    if (norm) expectShape(op, `length of "${norm.weight.name}"`, norm.weight.length, weight.cols);
    if (bias) expectShape(op, `length of "${bias.name}"`, bias.length, weight.rows);
    if (epilogue !== 'none') expectShape(op, 'rows of an expert modulo 2', outRows % 2, 0);
    expectInteger(op, 'outColumn', outColumn, 0, out.cols - (combine ? width : topK * width));
    if (x.name === out.name) throw new InternalError(`${op}: "${x.name}" is both input and output`);
    if (combine && (groups || norm || epilogue !== 'none')) {
      throw new InternalError(`${op}: combine goes with no groups, norm or epilogue`);
    }
    if (combine) expectShape(op, `columns of "${x.name}"`, x.cols, topK * weight.cols);
    if (accumulate && !combine) throw new InternalError(`${op}: accumulate goes with combine alone`);
    if (groups && norm) throw new InternalError(`${op}: a norm is a call of its own in large steps`);
    if (groups) {
      expectInteger(
        op,
        `pairsAt of "${groups.state.name}"`,
        groups.pairsAt,
        1 + 3 * tileBound(1, experts, groups.tileRows),
      );
    }
  },

  reference(call, env) {
    const { weight, routing, bias, out, outColumn, combine, accumulate, epilogue } = call;
    const { topK, outRows, width, slotX } = shapeOf(call);
    const chosen = env.activation(routing);
    const target = env.activation(out);
    const biases = bias && env.vector(bias);
    for (let row = 0; row < target.length / out.cols; row++) {
      const sums = new Float64Array(width);
      for (let slot = 0; slot < topK; slot++) {
        const first = chosen[row * routing.cols + slot] * outRows;
        const share = chosen[row * routing.cols + topK + slot];
        const input = inputOf(call, env, slotX ? row * topK + slot : row);
        const y = Float64Array.from(
          { length: outRows },
          (_, n) => (biases?.[first + n] ?? 0) + dot(env.weightRow(weight, first + n), 0, input),
        );
        for (let j = 0; j < width; j++) {
          const value = epilogue === 'none' ? y[j] : gated(y[j], y[width + j], epilogue);
          if (combine) sums[j] += share * value;
          else target[row * out.cols + outColumn + slot * width + j] = value;
        }
      }
      if (!combine) continue;
      const at = row * out.cols + outColumn;
      for (let j = 0; j < width; j++) target[at + j] = sums[j] + (accumulate ? target[at + j] : 0);
    }
  },

  dispatches(call, target) {
    const { groups, weight } = call;
    if (groups) return groupedDispatches(call, groups, target);
    if (target.bucket.maxRows > MAX_PAIRWISE_ROWS) {
      throw new InternalError(
        `expert_linear: "${weight.name}" has no groups in a bucket of ${target.bucket.maxRows} rows`,
      );
    }
    return pairwiseDispatches(call, target);
  },
};
