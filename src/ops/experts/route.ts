import { InternalError } from '../../errors';
import type { RouteCall } from '../calls';
import type { Dispatch, Op } from '../op';
import { expectInteger, expectShape, rowBytes } from '../shape_check';

/** Bounds of the kernel's workgroup memory and lanes. */
const MAX_EXPERTS = 1024;
const MAX_TOP_K = 64;

/** Experts that each row goes to: half the columns of what `route` writes. */
export function topKOf(routing: { readonly cols: number }): number {
  return routing.cols / 2;
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

export const routeOp: Op<RouteCall> = {
  name: 'route',

  check({ logits, experts, out, expertScale }) {
    expectInteger('route', 'number of experts', experts, 1, Math.min(MAX_EXPERTS, logits.cols));
    expectInteger('route', `columns of "${out.name}" / 2`, topKOf(out), 1, Math.min(experts, MAX_TOP_K));
    for (const tensor of [logits, out]) {
      expectShape('route', `type of "${tensor.name}"`, tensor.type, 'f32');
      expectShape('route', `rows of "${tensor.name}"`, tensor.rows, 'step');
    }
    if (expertScale) expectShape('route', `length of "${expertScale.name}"`, expertScale.length, experts);
    if (logits.name === out.name) throw new InternalError(`route: "${out.name}" is both input and output`);
  },

  reference({ logits, experts, out, scoring, normalise, scale, expertScale }, env) {
    const k = topKOf(out);
    const ownScales = expertScale && env.vector(expertScale);
    const values = env.activation(logits);
    const target = env.activation(out);
    for (let row = 0; row < target.length / out.cols; row++) {
      const own = values.subarray(row * logits.cols, row * logits.cols + experts);
      // The sort is stable: of equals the lowest index comes first.
      const order = Array.from(own.keys()).sort((a, b) => own[b] - own[a]);
      const best = own[order[0]];
      const score = (e: number): number => (scoring === 'sigmoid' ? sigmoid(own[e]) : Math.exp(own[e] - best));
      const sumOf = (list: readonly number[]): number => list.reduce((sum, e) => sum + score(e), 0);
      const chosen = order.slice(0, k);
      const total = normalise ? sumOf(chosen) : scoring === 'softmax' ? sumOf(order) : 1;
      chosen.forEach((e, slot) => {
        target[row * out.cols + slot] = e;
        target[row * out.cols + k + slot] = ((scale * score(e)) / total) * (ownScales?.[e] ?? 1);
      });
    }
  },

  dispatches({ logits, experts, out, scoring, normalise, scale, expertScale }): readonly Dispatch[] {
    const k = topKOf(out);
    return [
      {
        label: `route ${experts}→${k} ${scoring}${normalise ? ' normalised' : ''}${expertScale ? ' scaled' : ''}`,
        source: {
          entry: 'ops/route.wgsl',
          constants: {
            EXPERTS: experts,
            TOP_K: k,
            SIGMOID: scoring === 'sigmoid',
            NORMALISE: normalise,
            SCALED: expertScale !== undefined,
          },
          overrides: { LOGIT_COLS: logits.cols, SCALE: scale },
        },
        bindings: [
          { kind: 'activation', tensor: logits, access: 'read' },
          { kind: 'activation', tensor: out, access: 'write' },
          // A binding that the variant does not read still has to be something.
          expertScale
            ? { kind: 'vector', tensor: expertScale }
            : { kind: 'activation', tensor: logits, access: 'read' },
        ],
        workgroups: (step) => [step.rows, 1, 1],
        traffic: (step) => step.rows * (experts * 4 + rowBytes(out)),
      },
    ];
  },
};
