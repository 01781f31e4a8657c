import { keptAs } from './activation_store';
import type { ActivationCall, ActivationFunction } from './calls';
import { rowsBatch } from './case_batch';
import type { Activation, ActivationType, Dispatch, Op, OpCase } from './op';
import { expectShape, rowBytes } from './shape_check';

const LANES = 256;

/** As the kernel numbers them. */
const CODES: Readonly<Record<ActivationFunction, number>> = { gelu: 0, silu: 1, relu2: 2 };

const FUNCTIONS: Readonly<Record<ActivationFunction, (x: number) => number>> = {
  gelu: (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x / (1 + Math.exp(-x)),
  relu2: (x) => Math.max(x, 0) ** 2,
};

export const activationOp: Op<ActivationCall> = {
  name: 'activation',

  check({ x, out }) {
    expectShape('activation', `columns of "${out.name}"`, out.cols, x.cols);
    expectShape('activation', `rows of "${out.name}"`, out.rows, x.rows);
    expectShape('activation', `"${out.name}" being its own input`, String(x.name === out.name), 'false');
  },

  reference(call, env) {
    const x = env.activation(call.x);
    const out = env.activation(call.out);
    const f = FUNCTIONS[call.kind];
    for (let i = 0; i < out.length; i++) out[i] = f(x[i]);
  },

  dispatches({ x, out, kind }): readonly Dispatch[] {
    return [
      {
        label: `${kind} ${out.cols} ${x.type}→${out.type}`,
        source: {
          entry: 'ops/activation.wgsl',
          swaps: keptAs(out.type),
          aliases: { ActIn: x.type, ActOut: out.type },
          constants: { KIND: CODES[kind] },
          overrides: { COLS: out.cols },
        },
        bindings: [
          { kind: 'activation', tensor: x, access: 'read' },
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [Math.ceil(out.cols / LANES), out.rows === 'step' ? step.rows : step.sampledRows, 1],
        traffic: (step) => (out.rows === 'step' ? step.rows : step.sampledRows) * (rowBytes(x) + rowBytes(out)),
      },
    ];
  },
};

/** Every function; odd widths; arguments far beyond where exponentials overflow in f32. */
export function activationCases(seed: number): readonly OpCase<ActivationCall>[] {
  const shapes: readonly (readonly [ActivationFunction, rows: number, cols: number, ActivationType, 'extreme'?])[] = [
    ['gelu', 3, 344, 'f32'],
    ['gelu', 17, 257, 'f16'],
    ['gelu', 2, 7, 'f32', 'extreme'],
    ['silu', 2, 7, 'f32', 'extreme'],
    ['relu2', 5, 300, 'f32'],
    ['relu2', 2, 7, 'f16', 'extreme'],
  ];
  return shapes.map(([kind, rows, cols, type, arguments_], i): OpCase<ActivationCall> => {
    const { batch, numPages } = rowsBatch(rows, seed + i);
    const x: Activation = { name: 'x', cols, rows: 'step', type };
    const out: Activation = { name: 'out', cols, rows: 'step', type };
    const large = [1000, -1000, 88.8, -88.8, 3e4, -3e4, 0];
    return {
      label: `activation ${kind} ${rows}×${cols} ${type}${arguments_ ? ` ${arguments_}` : ''}`,
      calls: [{ op: 'activation', x, out, kind }],
      batch,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      inputs: arguments_ && { x: Float32Array.from({ length: rows * cols }, (_, at) => large[at % large.length]) },
      outputs: [{ tensor: out, budget: type === 'f16' ? 1e-6 : 1e-9 }],
    };
  });
}
