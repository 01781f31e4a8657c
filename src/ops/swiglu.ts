import type { SwigluCall } from './calls';
import { rowsBatch } from './case_batch';
import type { Activation, ActivationType, Dispatch, Op, OpCase } from './op';
import { expectShape, rowBytes } from './shape_check';

const LANES = 256;

export const swigluOp: Op<SwigluCall> = {
  name: 'swiglu',

  check({ x, out }) {
    expectShape('swiglu', `columns of "${x.name}"`, x.cols, 2 * out.cols);
    expectShape('swiglu', `rows of "${out.name}"`, out.rows, x.rows);
  },

  reference(call, env) {
    const { cols } = call.out;
    const x = env.activation(call.x);
    const out = env.activation(call.out);
    for (let i = 0; i < out.length; i++) {
      const gate = Math.floor(i / cols) * 2 * cols + (i % cols);
      out[i] = (x[gate] / (1 + Math.exp(-x[gate]))) * x[gate + cols];
    }
  },

  dispatches({ x, out }): readonly Dispatch[] {
    return [
      {
        label: `swiglu ${out.cols} ${x.type}→${out.type}`,
        source: {
          entry: 'ops/swiglu.wgsl',
          aliases: { ActIn: x.type, ActOut: out.type },
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

/** Odd and typical widths; gates far beyond where the exponential overflows in f32. */
export function swigluCases(seed: number): readonly OpCase<SwigluCall>[] {
  const shapes: readonly (readonly [rows: number, cols: number, type: ActivationType, gates?: 'extreme'])[] = [
    [1, 8, 'f32'],
    [3, 344, 'f32'],
    [17, 257, 'f32'],
    [65, 64, 'f16'],
    [16, 300, 'f16'],
    [2, 7, 'f32', 'extreme'],
  ];
  return shapes.map(([rows, cols, type, gates], i): OpCase<SwigluCall> => {
    const { batch, numPages } = rowsBatch(rows, seed + i);
    const x: Activation = { name: 'x', cols: 2 * cols, rows: 'step', type };
    const out: Activation = { name: 'out', cols, rows: 'step', type };
    const large = [1000, -1000, 88.8, -88.8, 3e4, -3e4, 0];
    return {
      label: `swiglu ${rows}×${cols} ${type}${gates ? ` ${gates} gates` : ''}`,
      calls: [{ op: 'swiglu', x, out }],
      batch,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      inputs: gates && { x: Float32Array.from({ length: rows * 2 * cols }, (_, at) => large[at % large.length]) },
      outputs: [{ tensor: out, budget: type === 'f16' ? 1e-6 : 1e-9 }],
    };
  });
}
