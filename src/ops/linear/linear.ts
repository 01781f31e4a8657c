import { InternalError } from '../../errors';
import type { LinearCall } from '../calls';
import { dot } from '../dot';
import type { KernelTarget, Op, ReferenceEnv } from '../op';
import { expectInteger, expectShape } from '../shape_check';
import { gateActivation, isGated } from './epilogue';
import { gemmDispatches } from './gemm';
import { gemvDispatches, MAX_GEMV_ROWS } from './gemv';
import { pairedGemvs } from './pair';

/** x as the kernel reads it: the rows of out, looked up and normalised (f64). */
function inputRows(call: LinearCall, env: ReferenceEnv): Float64Array[] {
  const { x, out, norm } = call;
  const values = env.activation(x);
  const { batch } = env;
  const sources =
    out.rows === 'step'
      ? batch.rows.map((_, row) => row)
      : batch.sampled.map(({ row }, index) => (x.rows === 'step' ? row : index));
  const weight = norm && env.vector(norm.weight);
  return sources.map((source) => {
    const row = Float64Array.from(values.subarray(source * x.cols, (source + 1) * x.cols));
    if (!norm || !weight) return row;
    const meanSquare = row.reduce((sum, value) => sum + value * value, 0) / x.cols;
    const scale = 1 / Math.sqrt(meanSquare + norm.eps);
    return row.map((value, i) => value * scale * weight[i]);
  });
}

export const linearOp: Op<LinearCall> = {
  name: 'linear',

  check(call) {
    const { x, weight, out, outColumn, norm, bias, scale = 1, softcap } = call;
    const op = `linear "${weight.name}"`;
    expectShape(op, `columns of "${x.name}"`, x.cols, weight.cols);
    expectShape(op, `columns of "${x.name}" modulo 4`, x.cols % 4, 0);
    if (norm) expectShape(op, `length of "${norm.weight.name}"`, norm.weight.length, x.cols);
    if (bias) expectShape(op, `length of "${bias.name}"`, bias.length, weight.rows);
    if (!Number.isFinite(scale)) throw new InternalError(`${op}: scale is ${scale}`);
    if (softcap !== undefined) {
      if (!(softcap > 0 && Number.isFinite(softcap))) throw new InternalError(`${op}: softcap is ${softcap}`);
      if (call.accumulate) throw new InternalError(`${op}: softcap does not go with accumulate`);
    }
    const gated = isGated(call);
    if (gated) {
      expectShape(op, 'rows modulo 2', weight.rows % 2, 0);
      if (bias || call.accumulate || scale !== 1 || softcap !== undefined) {
        throw new InternalError(`${op}: ${call.epilogue} goes with neither bias, accumulate, scale nor softcap`);
      }
    }
    expectInteger(op, 'outColumn', outColumn, 0, out.cols - (gated ? weight.rows / 2 : weight.rows));
    if (x.rows === 'sampled') expectShape(op, `rows of "${out.name}"`, out.rows, 'sampled');
    if (x.name === out.name) throw new InternalError(`${op}: "${x.name}" is both input and output`);
  },

  reference(call, env) {
    const { weight, out, outColumn, accumulate, epilogue, scale = 1, softcap } = call;
    const rows = inputRows(call, env);
    const target = env.activation(out);
    const bias = call.bias && env.vector(call.bias);
    const half = weight.rows / 2;
    const gates = rows.map(() => new Float64Array(isGated(call) ? half : 0));
    for (let n = 0; n < weight.rows; n++) {
      const w = env.weightRow(weight, n);
      for (const [r, row] of rows.entries()) {
        const y = (bias?.[n] ?? 0) + dot(w, 0, row);
        const at = r * out.cols + outColumn;
        if (epilogue === 'none') {
          const scaled = y * scale + (accumulate ? target[at + n] : 0);
          target[at + n] = softcap === undefined ? scaled : softcap * Math.tanh(scaled / softcap);
        } else if (n < half) gates[r][n] = gateActivation(epilogue, y);
        else target[at + n - half] = gates[r][n - half] * y;
      }
    }
  },

  dispatches(call, target) {
    return isSmall(call, target) ? gemvDispatches(call, target) : gemmDispatches(call, target);
  },

  dispatchesOfTwo(first, second, target) {
    if (!isSmall(first, target) || !isSmall(second, target)) return undefined;
    return pairedGemvs(first, second, target);
  },
};

/** Small steps are memory bound. Sampled rows are few in any step, and their norm stays fused (the output head). */
function isSmall(call: LinearCall, target: KernelTarget): boolean {
  if (call.out.rows === 'step') return target.bucket.maxRows <= MAX_GEMV_ROWS;
  return call.norm !== undefined || Math.min(target.bucket.maxRows, target.maxSampledRows) <= MAX_GEMV_ROWS;
}
