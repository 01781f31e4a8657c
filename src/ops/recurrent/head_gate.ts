import type { HeadGateCall } from '../calls';
import { rowsBatch } from '../case_batch';
import type { Activation, ActivationType, Binding, Dispatch, Op, OpCase } from '../op';
import { expectInteger, expectShape, rowBytes } from '../shape_check';

const LANES = 64;

export const headGateOp: Op<HeadGateCall> = {
  name: 'head_gate',

  check({ x, headDim, numHeads, out, input }) {
    const size = numHeads * headDim;
    expectShape('head_gate', `columns of "${x.name}"`, x.cols, 2 * size);
    if (input) expectShape('head_gate', `columns of "${input.name}"`, input.cols, size);
    expectInteger('head_gate', `columns of "${out.name}"`, out.cols, size);
    for (const tensor of [x, out]) expectShape('head_gate', `rows of "${tensor.name}"`, tensor.rows, 'step');
  },

  reference(call, env) {
    const { headDim, numHeads } = call;
    const size = numHeads * headDim;
    const x = env.activation(call.x);
    const input = call.input && env.activation(call.input);
    const out = env.activation(call.out);
    env.batch.rows.forEach((_, row) => {
      for (let i = 0; i < size; i++) {
        const query = row * 2 * size + Math.floor(i / headDim) * 2 * headDim + (i % headDim);
        const gate = x[query + headDim];
        out[row * call.out.cols + i] = input ? input[row * size + i] / (1 + Math.exp(-gate)) : x[query];
      }
    });
  },

  dispatches({ x, headDim, numHeads, out, input }): readonly Dispatch[] {
    const size = numHeads * headDim;
    const read = (tensor: Activation): Binding => ({ kind: 'activation', tensor, access: 'read' });
    return [
      {
        label: `head_gate ${input ? 'apply' : 'take'} ${numHeads}×${headDim} ${x.type}`,
        source: {
          entry: 'ops/head_gate.wgsl',
          aliases: { ActX: x.type, ActIn: (input ?? x).type, ActOut: out.type },
          constants: { APPLY: input !== undefined },
          overrides: { HEAD_DIM: headDim, SIZE: size, OUT_COLS: out.cols },
        },
        // A binding that the variant does not read still has to be something.
        bindings: [read(x), read(input ?? x), { kind: 'activation', tensor: out, access: 'write' }],
        workgroups: (step) => [Math.ceil(size / LANES), step.rows, 1],
        traffic: (step) => step.rows * size * rowBytes({ ...out, cols: 1 }) * (input ? 3 : 2),
      },
    ];
  },
};

export function headGateCases(seed: number): readonly OpCase<HeadGateCall>[] {
  return (['f32', 'f16'] as const).flatMap((type: ActivationType, i) =>
    [false, true].map((apply): OpCase<HeadGateCall> => {
      const [headDim, numHeads, rows] = [20, 5, 6];
      const { batch, numPages } = rowsBatch(rows, seed + i);
      const activation = (name: string, cols: number): Activation => ({ name, cols, rows: 'step', type });
      const out = activation('out', headDim * numHeads + (apply ? 0 : 12));
      return {
        label: `head_gate ${apply ? 'apply' : 'take'} ${type}`,
        calls: [
          {
            op: 'head_gate',
            x: activation('x', 2 * headDim * numHeads),
            headDim,
            numHeads,
            out,
            input: apply ? activation('input', headDim * numHeads) : undefined,
          },
        ],
        batch,
        bucket: { minRows: 1, maxRows: rows },
        contextLength: 128,
        numPages,
        kvType: 'f32',
        // The columns beside the written ones are compared too.
        inputs: apply ? undefined : { out: new Float32Array(rows * out.cols).fill(3) },
        outputs: [{ tensor: out, budget: type === 'f16' ? 1e-6 : 1e-9 }],
      };
    }),
  );
}
