import { allows } from '../engine/constraint';
import { InternalError } from '../errors';
import type { MaskLogitsCall } from './decoding_calls';
import type { Op } from './op';
import { HEADER, maskWords } from './step_layout';

const WORKGROUP = 256;

/** Forbids tokens before one is chosen: what structured output stands on. */
export const maskLogitsOp: Op<MaskLogitsCall> = {
  name: 'mask_logits',

  check({ logits }) {
    if (logits.rows !== 'sampled' || logits.type !== 'f32') {
      throw new InternalError(`mask_logits: "${logits.name}" must be f32 with one row per sampled row`);
    }
  },

  reference({ logits }, context) {
    const { batch } = context;
    const { cols } = logits;
    const values = context.activation(logits);
    for (const [index, { masks }] of batch.source.segments.entries()) {
      const { firstSampledRow } = batch.segments[index];
      masks?.forEach((mask, i) => {
        if (!mask) return;
        const row = (firstSampledRow + i) * cols;
        for (let t = 0; t < cols; t++) if (!allows(mask, t)) values[row + t] = Number.NEGATIVE_INFINITY;
      });
    }
  },

  dispatches({ logits }) {
    const { cols } = logits;
    return [
      {
        label: 'mask logits',
        source: { entry: 'ops/mask_logits.wgsl', overrides: { VOCAB: cols, MASKS: HEADER.masksOffset } },
        bindings: [{ kind: 'step' }, { kind: 'activation', tensor: logits, access: 'write' }],
        workgroups: ({ sampledRows }) => [Math.ceil(cols / WORKGROUP), sampledRows, 1],
        // At most: forbidden tokens are written, nothing of the logits is read.
        traffic: ({ sampledRows }) => sampledRows * 4 * (cols + maskWords(cols)),
      },
    ];
  },
};
