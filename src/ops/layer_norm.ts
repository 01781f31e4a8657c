import { keptAs } from './activation_store';
import type { LayerNormCall } from './calls';
import { rowsBatch } from './case_batch';
import type { Activation, ActivationType, Binding, Dispatch, Op, OpCase } from './op';
import { expectShape, rowBytes } from './shape_check';

export const layerNormOp: Op<LayerNormCall> = {
  name: 'layer_norm',

  check({ x, weight, bias, out }) {
    expectShape('layer_norm', `columns of "${out.name}"`, out.cols, x.cols);
    expectShape('layer_norm', `rows of "${out.name}"`, out.rows, x.rows);
    expectShape('layer_norm', `length of "${weight.name}"`, weight.length, x.cols);
    if (bias) expectShape('layer_norm', `length of "${bias.name}"`, bias.length, x.cols);
  },

  reference(call, env) {
    const { cols } = call.x;
    const x = env.activation(call.x);
    const out = env.activation(call.out);
    const weight = env.vector(call.weight);
    const bias = call.bias && env.vector(call.bias);
    for (let first = 0; first < x.length; first += cols) {
      let sum = 0;
      for (let i = 0; i < cols; i++) sum += x[first + i];
      const mean = sum / cols;
      let squares = 0;
      for (let i = 0; i < cols; i++) squares += (x[first + i] - mean) ** 2;
      const scale = 1 / Math.sqrt(squares / cols + call.eps);
      for (let i = 0; i < cols; i++) out[first + i] = (x[first + i] - mean) * scale * weight[i] + (bias?.[i] ?? 0);
    }
  },

  dispatches({ x, weight, bias, out, eps }): readonly Dispatch[] {
    const inPlace = x.name === out.name;
    const weightBinding: Binding = { kind: 'vector', tensor: weight };
    return [
      {
        label: `layer_norm ${x.cols} ${x.type}→${out.type}`,
        source: {
          entry: 'ops/layer_norm.wgsl',
          swaps: keptAs(out.type),
          aliases: { ActIn: x.type, ActOut: out.type },
          constants: { BIAS: bias !== undefined, IN_PLACE: inPlace },
          overrides: { COLS: x.cols, EPS: eps },
        },
        bindings: [
          // The same buffer cannot be bound for reading and for writing.
          inPlace ? weightBinding : { kind: 'activation', tensor: x, access: 'read' },
          weightBinding,
          bias ? { kind: 'vector', tensor: bias } : weightBinding,
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [x.rows === 'step' ? step.rows : step.sampledRows, 1, 1],
        traffic: (step) =>
          (x.rows === 'step' ? step.rows : step.sampledRows) * (rowBytes(x) + rowBytes(out)) +
          4 * weight.length * (bias ? 2 : 1),
      },
    ];
  },
};

/** Odd and typical widths, with and without bias, both activation types, means far from zero, in place. */
export function layerNormCases(seed: number): readonly OpCase<LayerNormCall>[] {
  const shapes: readonly (readonly [
    rows: number,
    cols: number,
    from: ActivationType,
    to: ActivationType,
    how?: 'bias' | 'offset' | 'in place',
  ])[] = [
    [1, 8, 'f32', 'f32'],
    [17, 288, 'f32', 'f32', 'bias'],
    [3, 1001, 'f32', 'f32', 'offset'],
    [5, 96, 'f32', 'f32', 'in place'],
    [16, 576, 'f32', 'f16', 'bias'],
    [65, 96, 'f16', 'f16'],
  ];
  return shapes.map(([rows, cols, from, to, how], i): OpCase<LayerNormCall> => {
    const { batch, numPages } = rowsBatch(rows, seed + i);
    const activation = (name: string, type: ActivationType): Activation => ({ name, cols, rows: 'step', type });
    const out = activation('out', to);
    const x = how === 'in place' ? out : activation('x', from);
    // Far from zero, the difference of squares would cancel; the kernel must subtract the mean first.
    const values = Float32Array.from({ length: rows * cols }, (_, at) => 100 + Math.sin(seed + at * at));
    const given = how === 'offset' || how === 'in place' ? { [x.name]: values } : undefined;
    const bias = how === undefined ? undefined : { name: 'bias', length: cols };
    return {
      label: `layer_norm ${rows}×${cols} ${from}→${to}${how ? ` ${how}` : ''}`,
      calls: [{ op: 'layer_norm', x, weight: { name: 'weight', length: cols }, bias, out, eps: 1e-5 }],
      batch,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      inputs: given,
      // Values around 100 have 7 digits, of which the first two cancel.
      outputs: [{ tensor: out, budget: to === 'f16' ? 1e-6 : 1e-9 }],
    };
  });
}
