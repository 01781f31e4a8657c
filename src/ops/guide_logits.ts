import type { GuideLogitsCall } from './decoding_calls';
import { logSoftmax } from './log_softmax';
import type { Op } from './op';
import { expectShape } from './shape_check';
import { HEADER } from './step_layout';

/** Classifier-free guidance (Sanchez et al. 2023, "Stay on topic"): rows are moved away from what another prompt would say. */
export const guideLogitsOp: Op<GuideLogitsCall> = {
  name: 'guide_logits',

  check({ logits }) {
    expectShape('guide_logits', `rows of "${logits.name}"`, logits.rows, 'sampled');
    expectShape('guide_logits', `type of "${logits.name}"`, logits.type, 'f32');
  },

  reference({ logits }, env) {
    const { batch } = env;
    const { cols } = logits;
    const values = env.activation(logits);
    const rowOf = (segment: number): Float32Array => {
      const first = batch.segments[segment].firstSampledRow * cols;
      return values.subarray(first, first + cols);
    };
    batch.source.segments.forEach(({ guidance }, index) => {
      if (!guidance) return;
      const own = rowOf(index);
      const away = logSoftmax(rowOf(batch.segments.findIndex(({ slot }) => slot === guidance.slot)));
      logSoftmax(own).forEach((logP, t) => {
        own[t] = away[t] + guidance.scale * (logP - away[t]);
      });
    });
  },

  dispatches({ logits }) {
    const { cols } = logits;
    return [
      {
        label: 'guide logits',
        source: { entry: 'ops/guide_logits.wgsl', overrides: { VOCAB: cols, GUIDANCE: HEADER.guidanceOffset } },
        bindings: [{ kind: 'step' }, { kind: 'activation', tensor: logits, access: 'write' }],
        workgroups: ({ sampledRows }) => [sampledRows, 1, 1],
        traffic: ({ sampledRows }) => sampledRows * 12 * cols,
      },
    ];
  },
};
