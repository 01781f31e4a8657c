import type { Segment } from '../engine/runner';
import type { PoolCall } from './calls';
import { caseBatch } from './case_batch';
import type { Activation, Dispatch, Op, OpCase } from './op';
import { expectShape, rowBytes } from './shape_check';

const LANES = 64;

/** As the kernel numbers them. */
const CODES: Readonly<Record<PoolCall['kind'], number>> = { mean: 0, first: 1, last: 2, row: 3 };

export const poolOp: Op<PoolCall> = {
  name: 'pool',

  check({ x, out }) {
    expectShape('pool', `columns of "${out.name}"`, out.cols, x.cols);
    expectShape('pool', `rows of "${x.name}"`, x.rows, 'step');
    expectShape('pool', `rows of "${out.name}"`, out.rows, 'sampled');
  },

  reference(call, env) {
    const { cols } = call.x;
    const x = env.activation(call.x);
    const out = env.activation(call.out);
    env.batch.sampled.forEach(({ row: sampled, segment }, index) => {
      const { firstRow, rowCount } = env.batch.segments[segment];
      const first = { mean: firstRow, first: firstRow, last: firstRow + rowCount - 1, row: sampled }[call.kind];
      const count = call.kind === 'mean' ? rowCount : 1;
      for (let col = 0; col < cols; col++) {
        let sum = 0;
        for (let row = first; row < first + count; row++) sum += x[row * cols + col];
        out[index * cols + col] = sum / count;
      }
    });
  },

  dispatches({ x, out, kind }): readonly Dispatch[] {
    return [
      {
        label: `pool ${kind} ${x.cols} ${x.type}→${out.type}`,
        source: {
          entry: 'ops/pool.wgsl',
          aliases: { ActIn: x.type, ActOut: out.type },
          constants: { KIND: CODES[kind] },
          overrides: { COLS: x.cols },
        },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: x, access: 'read' },
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [Math.ceil(x.cols / LANES), step.sampledRows, 1],
        traffic: (step) => step.rows * rowBytes(x) + step.sampledRows * rowBytes(out),
      },
    ];
  },
};

/** Every kind over several texts in one step, of one row too; one that is not asked for. */
export function poolCases(seed: number): readonly OpCase<PoolCall>[] {
  const shapes: readonly (readonly [PoolCall['kind'], cols: number, lengths: readonly number[]])[] = [
    ['mean', 96, [17, 1, 40]],
    ['first', 72, [3, 5]],
    ['last', 64, [9, 2, 7]],
    ['row', 64, [9, 2, 7]],
  ];
  return shapes.map(([kind, cols, lengths], i): OpCase<PoolCall> => {
    const { batch, numPages, rows } = caseBatch(
      lengths.map((length) => ({ position: 0, rows: length })),
      seed + i,
    );
    const x: Activation = { name: 'x', cols, rows: 'step', type: 'f32' };
    const out: Activation = { name: 'out', cols, rows: 'sampled', type: 'f32' };
    return {
      label: `pool ${kind} ${cols} of ${lengths.join(', ')} rows`,
      calls: [{ op: 'pool', x, out, kind }],
      batch: {
        segments: batch.segments.map((s, at): Segment => {
          const sampled = kind === 'row' ? 'all' : 'last';
          return { ...s, sample: at === 1 ? 'none' : sampled };
        }),
      },
      bucket: { minRows: 1, maxRows: rows },
      contextLength: 128,
      numPages,
      kvType: 'f32',
      outputs: [{ tensor: out, budget: 1e-9 }],
    };
  });
}
