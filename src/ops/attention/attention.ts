import { InternalError } from '../../errors';
import type { AttentionCall } from '../calls';
import { dot } from '../dot';
import { kvOffset, kvPages } from '../kv_layout';
import type { Op } from '../op';
import { expectInteger, expectShape } from '../shape_check';
import { decodeDispatches, MAX_DECODE_ROWS } from './decode';
import { prefillDispatches } from './prefill';

const MAX_HEAD_DIM = 512;

/** The positions [begin, end) that a row sees of its sequence, of which the cache holds `length`. */
function seenBy({ mask, window }: AttentionCall, position: number, length: number): [begin: number, end: number] {
  if (mask === 'full') {
    const reach = window === undefined ? length : Math.floor(window / 2);
    return [Math.max(0, position - reach), Math.min(length, position + reach + 1)];
  }
  return [Math.max(0, position + 1 - (window ?? position + 1)), position + 1];
}

/** Attention over KV pages: split-KV for few rows, tiled FlashAttention for more (docs/kernels/attention.md). */
export const attentionOp: Op<AttentionCall> = {
  name: 'attention',

  check({ q, cache, out, numHeads, scale, mask, window, softcap, sinks }) {
    expectInteger('attention', 'headDim / 4', cache.headDim / 4, 1, MAX_HEAD_DIM / 4);
    expectInteger('attention', 'numHeads / numKvHeads', numHeads / cache.numKvHeads, 1);
    expectShape('attention', `columns of "${q.name}"`, q.cols, numHeads * cache.headDim);
    expectShape('attention', `columns of "${out.name}"`, out.cols, q.cols);
    expectShape('attention', `rows of "${q.name}"`, q.rows, 'step');
    expectShape('attention', `rows of "${out.name}"`, out.rows, 'step');
    expectShape('attention', `type of "${out.name}"`, out.type, q.type);
    if (window !== undefined) expectInteger('attention', 'window', window, 1);
    if (sinks) expectShape('attention', `length of "${sinks.name}"`, sinks.length, numHeads);
    if (cache.window !== undefined && (mask === 'full' || window === undefined || window > cache.window)) {
      throw new InternalError(
        `attention: a cache of the last ${cache.window} positions, of which ${window ?? 'all'} are seen (${mask ?? 'causal'})`,
      );
    }
    if (!Number.isFinite(scale)) throw new InternalError(`attention: scale is ${scale}`);
    if (softcap !== undefined && !(softcap > 0 && Number.isFinite(softcap))) {
      throw new InternalError(`attention: softcap is ${softcap}`);
    }
  },

  reference(call, env) {
    const { cache, numHeads, scale, softcap } = call;
    const { headDim } = cache;
    const q = env.activation(call.q);
    const out = env.activation(call.out);
    const k = env.kv(cache, 'k');
    const v = env.kv(cache, 'v');
    const sinks = call.sinks && env.vector(call.sinks);
    env.batch.rows.forEach(({ position, segment }, row) => {
      const { length } = env.batch.segments[segment];
      const pages = kvPages(cache, env.batch.segments[segment]);
      const [first, end] = seenBy(call, position, length);
      for (let head = 0; head < numHeads; head++) {
        const kvHead = Math.floor((head * cache.numKvHeads) / numHeads);
        const at = (row * numHeads + head) * headDim;
        const query = Float64Array.from(q.subarray(at, at + headDim));
        const weights = new Float64Array(end - first);
        for (let i = 0; i < weights.length; i++) {
          const score = scale * dot(k, kvOffset(cache, pages, kvHead, first + i), query);
          weights[i] = softcap === undefined ? score : softcap * Math.tanh(score / softcap);
        }
        const sink = sinks?.[head] ?? Number.NEGATIVE_INFINITY;
        const best = weights.reduce((a, b) => Math.max(a, b), sink);
        const values = new Float64Array(headDim);
        let sum = Math.exp(sink - best);
        for (let i = 0; i < weights.length; i++) {
          const weight = Math.exp(weights[i] - best);
          const value = kvOffset(cache, pages, kvHead, first + i);
          for (let d = 0; d < headDim; d++) values[d] += weight * v[value + d];
          sum += weight;
        }
        for (let d = 0; d < headDim; d++) out[at + d] = values[d] / sum;
      }
    });
  },

  dispatches(call, target) {
    return target.bucket.maxRows <= MAX_DECODE_ROWS ? decodeDispatches(call, target) : prefillDispatches(call, target);
  },
};
