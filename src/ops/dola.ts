/**
 * Decoding by contrasting layers (Chuang et al. 2024, "DoLa"): the logits of sampled rows that ask for it (Segment.dola) become the
 * logarithm of the ratio between the last layer's distribution and that of the early layer which differs most from it.
 */
import { InternalError } from '../errors';
import type { DolaContrastCall, DolaSelectCall } from './decoding_calls';
import { logSoftmax } from './log_softmax';
import type { Activation, Dispatch, Op, ReferenceEnv } from './op';
import { expectInteger, expectShape } from './shape_check';
import { HEADER, MAX_DOLA_LAYERS } from './step_layout';

/**
 * How far below the others the logits of implausible tokens are put: too far to be drawn at any temperature, but not forbidden, so that something is left where
 * a mask or a bias forbids all others.
 */
const FAR = 1e4;

function checkLogits(op: string, logits: Activation, others: readonly Activation[]): void {
  for (const { name, rows, cols, type } of [logits, ...others]) {
    expectShape(op, `rows of "${name}"`, rows, 'sampled');
    expectShape(op, `type of "${name}"`, type, 'f32');
    expectShape(op, `columns of "${name}"`, cols, logits.cols);
  }
}

/** Σ (p·log(p/m) + q·log(q/m)) / 2 with m = (p + q) / 2, of logarithms of p and q. */
function jensenShannon(logP: Float64Array, logQ: Float64Array): number {
  let sum = 0;
  logP.forEach((lp, i) => {
    const lq = logQ[i];
    const [p, q] = [Math.exp(lp), Math.exp(lq)];
    const middle = Math.log((p + q) / 2);
    if (p > 0) sum += (p * (lp - middle)) / 2;
    if (q > 0) sum += (q * (lq - middle)) / 2;
  });
  return sum;
}

/** The rows that contrast layers, with these layers. */
function askingRows(env: ReferenceEnv): { readonly row: number; readonly layers: readonly number[] }[] {
  return env.batch.sampled.flatMap(({ segment }, row) => {
    const layers = env.batch.source.segments[segment].dola;
    return layers && layers.length > 0 ? [{ row, layers }] : [];
  });
}

export const dolaSelectOp: Op<DolaSelectCall> = {
  name: 'dola_select',

  check({ logits, early, base, divergence, layer }) {
    checkLogits('dola_select', logits, [early, base]);
    expectShape('dola_select', `rows of "${divergence.name}"`, divergence.rows, 'sampled');
    expectShape('dola_select', `columns of "${divergence.name}"`, divergence.cols, 1);
    expectInteger('dola_select', 'layer', layer, 0, MAX_DOLA_LAYERS - 1);
  },

  reference({ logits, early, base, divergence, layer }, env) {
    const { cols } = logits;
    const best = env.activation(divergence);
    const from = env.activation(early);
    const rowOf = (values: Float32Array, row: number): Float32Array => values.subarray(row * cols, (row + 1) * cols);
    for (const { row, layers } of askingRows(env)) {
      if (!layers.includes(layer)) continue;
      const found = jensenShannon(logSoftmax(rowOf(env.activation(logits), row)), logSoftmax(rowOf(from, row)));
      if (layer > Math.min(...layers) && found <= best[row]) continue;
      best[row] = found;
      env.activation(base).set(rowOf(from, row), row * cols);
    }
  },

  dispatches({ logits, early, base, divergence, layer }): readonly Dispatch[] {
    const { cols } = logits;
    return [
      {
        label: 'dola select',
        source: { entry: 'ops/dola_select.wgsl', overrides: { VOCAB: cols, DOLA: HEADER.dolaOffset } },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: logits, access: 'read' },
          { kind: 'activation', tensor: early, access: 'read' },
          { kind: 'activation', tensor: base, access: 'write' },
          { kind: 'activation', tensor: divergence, access: 'write' },
        ],
        // The kernel reads off these which layer it is.
        workgroups: ({ sampledRows }) => [sampledRows, 1, layer + 1],
        traffic: ({ sampledRows }) => sampledRows * 4 * (3 * cols + 2),
      },
    ];
  },
};

export const dolaContrastOp: Op<DolaContrastCall> = {
  name: 'dola_contrast',

  check({ logits, base, relativeTop }) {
    checkLogits('dola_contrast', logits, [base]);
    if (!(relativeTop > 0 && relativeTop <= 1)) throw new InternalError(`dola_contrast: relativeTop is ${relativeTop}`);
  },

  reference({ logits, base, relativeTop }, env) {
    const { cols } = logits;
    const values = env.activation(logits);
    const bases = env.activation(base);
    for (const { row } of askingRows(env)) {
      const own = values.subarray(row * cols, (row + 1) * cols);
      const logQ = logSoftmax(bases.subarray(row * cols, (row + 1) * cols));
      const least = own.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY) + Math.log(relativeTop);
      const kept = own.map((x) => (x >= least ? 1 : 0));
      logSoftmax(own).forEach((lp, t) => {
        own[t] = kept[t] ? lp - logQ[t] : lp - FAR;
      });
    }
  },

  dispatches({ logits, base, relativeTop }): readonly Dispatch[] {
    const { cols } = logits;
    return [
      {
        label: 'dola contrast',
        source: {
          entry: 'ops/dola_contrast.wgsl',
          overrides: { VOCAB: cols, LOG_RELATIVE_TOP: Math.log(relativeTop), FAR, DOLA: HEADER.dolaOffset },
        },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: logits, access: 'write' },
          { kind: 'activation', tensor: base, access: 'read' },
        ],
        workgroups: ({ sampledRows }) => [sampledRows, 1, 1],
        traffic: ({ sampledRows }) => sampledRows * 12 * cols,
      },
    ];
  },
};
