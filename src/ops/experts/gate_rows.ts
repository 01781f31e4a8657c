import type { GateRowsCall } from '../calls';
import type { Dispatch, Op } from '../op';
import { expectInteger, expectShape, rowBytes } from '../shape_check';

const LANES = 256;

export const gateRowsOp: Op<GateRowsCall> = {
  name: 'gate_rows',

  check({ out, logits, column }) {
    expectInteger('gate_rows', `column of "${logits.name}"`, column, 0, logits.cols - 1);
    expectShape('gate_rows', `type of "${logits.name}"`, logits.type, 'f32');
    for (const tensor of [out, logits]) expectShape('gate_rows', `rows of "${tensor.name}"`, tensor.rows, 'step');
  },

  reference(call, env) {
    const out = env.activation(call.out);
    const logits = env.activation(call.logits);
    for (let i = 0; i < out.length; i++) {
      const logit = logits[Math.floor(i / call.out.cols) * call.logits.cols + call.column];
      out[i] /= 1 + Math.exp(-logit);
    }
  },

  dispatches({ out, logits, column }): readonly Dispatch[] {
    return [
      {
        label: `gate_rows ${out.cols}`,
        source: {
          entry: 'ops/gate_rows.wgsl',
          aliases: { Act: out.type },
          overrides: { COLS: out.cols, LOGIT_COLS: logits.cols, COLUMN: column },
        },
        bindings: [
          { kind: 'activation', tensor: logits, access: 'read' },
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [Math.ceil(out.cols / LANES), step.rows, 1],
        traffic: (step) => step.rows * (2 * rowBytes(out) + 4),
      },
    ];
  },
};
