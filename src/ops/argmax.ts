import { InternalError } from '../errors';
import type { ArgmaxCall } from './decoding_calls';
import type { Dispatch, Op } from './op';
import { checkSampledLogits } from './sample/check';
import { ACCEPTED, NO_CHANCE, NO_LOGPROB, SAMPLE, SAMPLE_WORDS } from './sample/record';
import { clean } from './sample/reference';
import { guessBehind } from './sample/rejection';

/** Tokens of one workgroup of the first dispatch: 64 workgroups at a vocabulary of 128 K. */
const SLICE_TOKENS = 2048;

/** Index of the largest logit, the lowest of equals. NaN counts as -Infinity, a row of -Infinity gives 0. */
export function argmax(logits: Float32Array): number {
  let best = 0;
  for (let t = 1; t < logits.length; t++) {
    if (logits[t] > logits[best] || (Number.isNaN(logits[best]) && logits[t] > Number.NEGATIVE_INFINITY)) best = t;
  }
  return Number.isNaN(logits[best]) ? 0 : best;
}

export const argmaxOp: Op<ArgmaxCall> = {
  name: 'argmax',

  check(call) {
    checkSampledLogits(call);
  },

  reference(call, env) {
    const { batch } = env;
    const { cols } = call.logits;
    const logits = env.activation(call.logits);
    const samples = env.state(call.samples);
    const lastTokens = env.state(call.lastTokens);
    batch.sampled.forEach((_, row) => {
      const rowLogits = logits.subarray(row * cols, (row + 1) * cols);
      const token = argmax(rowLogits);
      const accepted = guessBehind(batch, row)?.token === token ? ACCEPTED : 0;
      const noChance = clean(rowLogits[token]) === Number.NEGATIVE_INFINITY ? NO_CHANCE : 0;
      samples.set([token, NO_LOGPROB, accepted + noChance, 0], row * SAMPLE_WORDS);
    });
    for (const segment of batch.segments) {
      if (segment.sampledRows === 0) continue;
      const last = segment.firstSampledRow + segment.sampledRows - 1;
      lastTokens[segment.slot] = samples[last * SAMPLE_WORDS + SAMPLE.token];
    }
  },

  dispatches(call, target): readonly Dispatch[] {
    const { cols, type } = call.logits;
    const slices = Math.ceil(cols / SLICE_TOKENS);
    if (target.maxSampledRows > target.capabilities.limits.maxComputeWorkgroupsPerDimension) {
      throw new InternalError(
        `argmax: ${target.maxSampledRows} sampled rows exceed the device's workgroups per dimension`,
      );
    }
    const partials = { kind: 'scratch', name: 'argmax.partials', bytes: target.maxSampledRows * slices * 8 } as const;
    return [
      {
        label: `argmax ${type}`,
        source: {
          entry: 'ops/argmax.wgsl',
          aliases: { Act: type },
          overrides: { VOCAB: cols, SLICES: slices, SLICE_TOKENS },
        },
        bindings: [
          { kind: 'activation', tensor: call.logits, access: 'read' },
          { ...partials, access: 'write' },
        ],
        workgroups: (step) => (step.greedy ? [slices, step.sampledRows, 1] : [0, 0, 0]),
        traffic: (step) => step.sampledRows * (cols * (type === 'f16' ? 2 : 4) + slices * 8),
      },
      {
        label: 'argmax reduce',
        source: { entry: 'ops/argmax_reduce.wgsl', overrides: { SLICES: slices } },
        bindings: [
          { kind: 'step' },
          { ...partials, access: 'read' },
          { kind: 'state', state: call.samples, access: 'write' },
          { kind: 'state', state: call.lastTokens, access: 'write' },
        ],
        workgroups: (step) => (step.greedy ? [step.sampledRows, 1, 1] : [0, 0, 0]),
        traffic: (step) => step.sampledRows * (slices * 8 + 20),
      },
    ];
  },
};
