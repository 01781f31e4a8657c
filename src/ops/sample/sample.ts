import { MAX_LOGIT_BIAS } from '../../engine/runner';
import { InternalError } from '../../errors';
import type { SampleCall } from '../calls';
import type { Dispatch, Op } from '../op';
import { checkSampledLogits } from './check';
import { bitsToFloat, floatBits, NO_LOGPROB, SAMPLE, SAMPLE_WORDS } from './record';
import { chooseToken, logSoftmax, type SlotState, topLogprobs } from './reference';
import { STREAM, uniformAt } from './rng';

/** Invocations of a workgroup of ops/sample_commit.wgsl: segments that one takes over. */
const COMMIT_SEGMENTS = 64;

/** The slot's parts of the counts and bias states. */
function slotState(counts: Uint32Array, bias: Uint32Array, slot: number, vocab: number, biasCount: number): SlotState {
  const first = slot * MAX_LOGIT_BIAS * 2;
  return {
    counts: counts.subarray(slot * vocab, (slot + 1) * vocab),
    bias: Array.from(
      { length: biasCount },
      (_, i) => [bias[first + 2 * i], bitsToFloat(bias[first + 2 * i + 1])] as const,
    ),
  };
}

/** The general sampler; the definition is in docs/kernels/sampling.md. */
export const sampleOp: Op<SampleCall> = {
  name: 'sample',

  check(call) {
    checkSampledLogits(call);
    const { logits, lastTokens, counts, bias } = call;
    const slots = lastTokens.words;
    const expected = [
      [counts, slots * logits.cols],
      [bias, slots * MAX_LOGIT_BIAS * 2],
    ] as const;
    for (const [state, words] of expected) {
      if (state.words !== words) {
        throw new InternalError(
          `sample: "${state.name}" has ${state.words} words, expected ${words} for ${slots} slots`,
        );
      }
    }
  },

  reference(call, env) {
    const { batch } = env;
    const { cols } = call.logits;
    const logits = env.activation(call.logits);
    const counts = env.state(call.counts);
    const bias = env.state(call.bias);
    const samples = env.state(call.samples);
    const lastTokens = env.state(call.lastTokens);
    batch.sampled.forEach(({ row, segment }, index) => {
      const { sampling } = batch.source.segments[segment];
      const state = slotState(counts, bias, batch.segments[segment].slot, cols, sampling.logitBias.length);
      const rowLogits = logits.subarray(index * cols, (index + 1) * cols);
      const uniform = uniformAt(sampling.seed, batch.rows[row].position, STREAM.token);
      const { token } = chooseToken(rowLogits, sampling, state, uniform);
      const at = index * SAMPLE_WORDS;
      if (sampling.topLogprobs < 0) {
        samples.set([token, NO_LOGPROB, 0, 0], at);
        return;
      }
      const logprobs = logSoftmax(rowLogits);
      const top = topLogprobs(rowLogits, logprobs, sampling.topLogprobs);
      samples.set([token, floatBits(logprobs[token]), top.length, 0], at);
      samples.set(
        top.flatMap(([t, logprob]) => [t, floatBits(logprob)]),
        at + SAMPLE.top,
      );
    });
    for (const segment of batch.segments) {
      for (let i = 0; i < segment.sampledRows; i++) {
        const token = samples[(segment.firstSampledRow + i) * SAMPLE_WORDS + SAMPLE.token];
        counts[segment.slot * cols + token]++;
        lastTokens[segment.slot] = token;
      }
    }
  },

  dispatches(call, target): readonly Dispatch[] {
    const { cols, type } = call.logits;
    const rows = target.maxSampledRows;
    if (rows > target.capabilities.limits.maxComputeWorkgroupsPerDimension) {
      throw new InternalError(`sample: ${rows} sampled rows exceed the device's workgroups per dimension`);
    }
    return [
      {
        label: `sample ${type}`,
        source: { entry: 'ops/sample.wgsl', aliases: { Act: type }, overrides: { VOCAB: cols } },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: call.logits, access: 'read' },
          { kind: 'state', state: call.counts, access: 'read' },
          { kind: 'state', state: call.bias, access: 'read' },
          { kind: 'scratch', name: 'sample.keys', bytes: rows * cols * 4, access: 'write' },
          { kind: 'state', state: call.samples, access: 'write' },
        ],
        workgroups: (step) => (step.greedy ? [0, 0, 0] : [step.sampledRows, 1, 1]),
        traffic: (step) => step.sampledRows * (cols * (type === 'f16' ? 2 : 4) + SAMPLE_WORDS * 4),
      },
      {
        label: 'sample commit',
        source: { entry: 'ops/sample_commit.wgsl', overrides: { VOCAB: cols } },
        bindings: [
          { kind: 'step' },
          { kind: 'state', state: call.samples, access: 'read' },
          { kind: 'state', state: call.lastTokens, access: 'write' },
          { kind: 'state', state: call.counts, access: 'write' },
        ],
        workgroups: (step) =>
          step.greedy || step.sampledRows === 0 ? [0, 0, 0] : [Math.ceil(step.segments / COMMIT_SEGMENTS), 1, 1],
        traffic: (step) => step.sampledRows * 16,
      },
    ];
  },
};
