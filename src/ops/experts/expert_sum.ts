import { keptAs } from '../activation_store';
import type { ExpertSumCall } from '../calls';
import type { Dispatch, Op } from '../op';
import { expectShape, rowBytes } from '../shape_check';
import { topKOf } from './route';

const LANES = 256;

export const expertSumOp: Op<ExpertSumCall> = {
  name: 'expert_sum',

  check({ x, routing, out }) {
    expectShape('expert_sum', `columns of "${x.name}"`, x.cols, topKOf(routing) * out.cols);
    expectShape('expert_sum', `type of "${routing.name}"`, routing.type, 'f32');
    for (const tensor of [x, routing, out]) expectShape('expert_sum', `rows of "${tensor.name}"`, tensor.rows, 'step');
  },

  reference(call, env) {
    const { cols } = call.out;
    const k = topKOf(call.routing);
    const x = env.activation(call.x);
    const routing = env.activation(call.routing);
    const out = env.activation(call.out);
    for (let i = 0; i < out.length; i++) {
      const row = Math.floor(i / cols);
      let sum = call.accumulate ? out[i] : 0;
      for (let slot = 0; slot < k; slot++) {
        sum += routing[row * 2 * k + k + slot] * x[(row * k + slot) * cols + (i % cols)];
      }
      out[i] = sum;
    }
  },

  dispatches({ x, routing, out, accumulate }): readonly Dispatch[] {
    return [
      {
        label: `expert_sum ${topKOf(routing)}×${out.cols}`,
        source: {
          entry: 'ops/expert_sum.wgsl',
          swaps: keptAs(out.type),
          aliases: { ActIn: x.type, ActOut: out.type },
          constants: { ACCUMULATE: accumulate },
          overrides: { COLS: out.cols, TOP_K: topKOf(routing) },
        },
        bindings: [
          { kind: 'activation', tensor: routing, access: 'read' },
          { kind: 'activation', tensor: x, access: 'read' },
          { kind: 'activation', tensor: out, access: 'write' },
        ],
        workgroups: (step) => [Math.ceil(out.cols / LANES), step.rows, 1],
        traffic: (step) => step.rows * (rowBytes(x) + (accumulate ? 2 : 1) * rowBytes(out) + rowBytes(routing) / 2),
      },
    ];
  },
};
