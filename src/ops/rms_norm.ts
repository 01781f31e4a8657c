import { keptAs } from './activation_store';
import type { RmsNormCall } from './calls';
import { rowsBatch } from './case_batch';
import type { Activation, ActivationType, Dispatch, Op, OpCase } from './op';
import { expectShape, rowBytes } from './shape_check';

export const rmsNormOp: Op<RmsNormCall> = {
  name: 'rms_norm',

  check({ x, weight, out, outScale }) {
    expectShape('rms_norm', `columns of "${out.name}"`, out.cols, x.cols);
    expectShape('rms_norm', `rows of "${out.name}"`, out.rows, x.rows);
    if (x.cols % weight.length !== 0) expectShape('rms_norm', `length of "${weight.name}"`, weight.length, x.cols);
    if (outScale) expectShape('rms_norm', `length of "${outScale.name}"`, outScale.length, 1);
  },

  reference(call, env) {
    const cols = call.weight.length;
    const x = env.activation(call.x);
    const out = env.activation(call.out);
    const weight = env.vector(call.weight);
    const { accumulate = false, scale: factor = 1 } = call;
    const last = call.outScale ? env.vector(call.outScale)[0] : 1;
    for (let first = 0; first < x.length; first += cols) {
      let sum = 0;
      for (let i = 0; i < cols; i++) sum += x[first + i] ** 2;
      const scale = factor / Math.sqrt(sum / cols + call.eps);
      for (let i = 0; i < cols; i++) {
        out[first + i] = last * (x[first + i] * scale * weight[i] + (accumulate ? out[first + i] : 0));
      }
    }
  },

  dispatches({ x, weight, out, eps, accumulate = false, scale = 1, outScale }): readonly Dispatch[] {
    const groups = x.cols / weight.length;
    return [
      {
        label: `rms_norm ${x.cols} ${x.type}→${out.type}${accumulate ? ' accumulate' : ''}`,
        source: {
          entry: 'ops/rms_norm.wgsl',
          swaps: keptAs(out.type),
          constants: { ACCUMULATE: accumulate, OUT_SCALE: outScale !== undefined },
          aliases: { ActIn: x.type, ActOut: out.type },
          overrides: { COLS: weight.length, EPS: eps, SCALE: scale },
        },
        bindings: [
          { kind: 'activation', tensor: x, access: 'read' },
          { kind: 'vector', tensor: weight },
          // A binding that the variant does not read still has to be something.
          { kind: 'vector', tensor: outScale ?? weight },
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [x.rows === 'step' ? step.rows : step.sampledRows, groups, 1],
        traffic: (step) =>
          (x.rows === 'step' ? step.rows : step.sampledRows) * (rowBytes(x) + (accumulate ? 2 : 1) * rowBytes(out)) +
          4 * weight.length,
      },
    ];
  },
};

/** Odd and typical widths, from one to many rows, both activation types. */
export function rmsNormCases(seed: number): readonly OpCase<RmsNormCall>[] {
  const shapes: readonly (readonly [
    rows: number,
    cols: number,
    from: ActivationType,
    to: ActivationType,
    special?: 'accumulate' | 'groups of 16' | 'beyond halves',
  ])[] = [
    [1, 8, 'f32', 'f32'],
    [3, 64, 'f32', 'f32'],
    [17, 288, 'f32', 'f32'],
    [40, 1001, 'f32', 'f32'],
    [2, 8192, 'f32', 'f32'],
    [16, 576, 'f32', 'f16'],
    [65, 96, 'f16', 'f16'],
    [3, 96, 'f32', 'f16', 'beyond halves'],
    [3, 64, 'f32', 'f32', 'accumulate'],
    [3, 64, 'f32', 'f32', 'groups of 16'],
  ];
  return shapes.map(([rows, cols, from, to, special], i): OpCase<RmsNormCall> => {
    const { batch, numPages } = rowsBatch(rows, seed + i);
    const activation = (name: string, type: ActivationType): Activation => ({ name, cols, rows: 'step', type });
    const out = activation('out', to);
    const weight = { name: 'weight', length: special === 'groups of 16' ? 16 : cols };
    return {
      label: `rms_norm ${rows}×${cols} ${from}→${to}${special ? ` ${special}` : ''}`,
      calls: [
        {
          op: 'rms_norm',
          x: activation('x', from),
          weight,
          out,
          eps: 1e-5,
          ...(special === 'accumulate' && {
            accumulate: true,
            scale: 0.3,
            outScale: { name: 'out_scale', length: 1 },
          }),
        },
      ],
      batch,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      // Norms of some models have weights of hundreds.
      inputs: special === 'beyond halves' ? { weight: new Float32Array(cols).fill(5e4) } : undefined,
      outputs: [{ tensor: out, budget: to === 'f16' ? 1e-6 : 1e-9 }],
    };
  });
}
