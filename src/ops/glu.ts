import { keptAs } from './activation_store';
import type { GluCall } from './calls';
import { rowsBatch } from './case_batch';
import type { Activation, ActivationType, Dispatch, Op, OpCase } from './op';
import { expectInteger, expectShape, rowBytes } from './shape_check';

const LANES = 256;

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

/** x·Φ(x) by its tanh approximation (Hendrycks & Gimpel 2016). */
function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * x * (1 + 0.044715 * x * x)));
}

export const gluOp: Op<GluCall> = {
  name: 'glu',

  check({ x, up, out }) {
    expectShape('glu', `columns of "${x.name}"`, x.cols, up ? out.cols : 2 * out.cols);
    if (up) {
      expectInteger('glu', 'column', up.column, 0, up.tensor.cols - out.cols);
      expectShape('glu', `rows of "${up.tensor.name}"`, up.tensor.rows, x.rows);
    }
    expectShape('glu', `rows of "${out.name}"`, out.rows, x.rows);
  },

  reference(call, env) {
    const { cols } = call.out;
    const x = env.activation(call.x);
    const out = env.activation(call.out);
    const up = call.up ? env.activation(call.up.tensor) : x;
    const [upCols, upColumn] = call.up ? [call.up.tensor.cols, call.up.column] : [2 * cols, cols];
    const activate = call.activation === 'gelu' ? gelu : silu;
    for (let i = 0; i < out.length; i++) {
      const row = Math.floor(i / cols);
      const col = i % cols;
      out[i] = activate(x[row * call.x.cols + col]) * up[row * upCols + upColumn + col];
    }
  },

  dispatches({ x, up, out, activation }): readonly Dispatch[] {
    return [
      {
        label: `${activation} glu ${out.cols} ${x.type}→${out.type}`,
        source: {
          entry: 'ops/glu.wgsl',
          swaps: keptAs(out.type),
          constants: { GELU: activation === 'gelu' },
          aliases: { ActIn: x.type, ActUp: up?.tensor.type ?? x.type, ActOut: out.type },
          overrides: {
            COLS: out.cols,
            GATE_COLS: x.cols,
            UP_COLS: up?.tensor.cols ?? x.cols,
            UP_COLUMN: up?.column ?? out.cols,
          },
        },
        bindings: [
          { kind: 'activation', tensor: x, access: 'read' },
          { kind: 'activation', tensor: up?.tensor ?? x, access: 'read' },
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [Math.ceil(out.cols / LANES), out.rows === 'step' ? step.rows : step.sampledRows, 1],
        traffic: (step) =>
          (out.rows === 'step' ? step.rows : step.sampledRows) * (rowBytes(x) + (up ? 2 : 1) * rowBytes(out)),
      },
    ];
  },
};

/** Odd and typical widths; gates far beyond where the exponential overflows in f32. */
export function gluCases(seed: number): readonly OpCase<GluCall>[] {
  const shapes: readonly (readonly [
    rows: number,
    cols: number,
    type: ActivationType,
    activation: GluCall['activation'],
    special?: 'extreme gates' | 'up elsewhere',
  ])[] = [
    [1, 8, 'f32', 'silu'],
    [3, 344, 'f32', 'gelu'],
    [17, 257, 'f32', 'silu'],
    [65, 64, 'f16', 'gelu'],
    [16, 300, 'f16', 'silu'],
    [2, 8, 'f32', 'gelu', 'up elsewhere'],
    [2, 7, 'f32', 'silu', 'extreme gates'],
    [2, 7, 'f32', 'gelu', 'extreme gates'],
    [2, 7, 'f16', 'gelu', 'extreme gates'],
  ];
  return shapes.map(([rows, cols, type, activation, special], i): OpCase<GluCall> => {
    const { batch, numPages } = rowsBatch(rows, seed + i);
    const elsewhere = special === 'up elsewhere';
    const up: Activation = { name: 'up', cols: 3 * cols, rows: 'step', type };
    const x: Activation = { name: 'x', cols: elsewhere ? cols : 2 * cols, rows: 'step', type };
    const out: Activation = { name: 'out', cols, rows: 'step', type };
    const large = [1000, -1000, 88.8, -88.8, 3e4, -3e4, 0];
    return {
      label: `${activation} glu ${rows}×${cols} ${type}${special ? ` ${special}` : ''}`,
      calls: [{ op: 'glu', x, up: elsewhere ? { tensor: up, column: cols } : undefined, out, activation }],
      batch,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      inputs:
        special === 'extreme gates'
          ? { x: Float32Array.from({ length: rows * 2 * cols }, (_, at) => large[at % large.length]) }
          : undefined,
      outputs: [{ tensor: out, budget: type === 'f16' ? 1e-6 : 1e-9 }],
    };
  });
}
