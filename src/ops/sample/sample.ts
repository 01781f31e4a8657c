import { MAX_LOGIT_BIAS } from '../../engine/runner';
import { chainOfSegment } from '../../engine/sampler_chain';
import { InternalError } from '../../errors';
import type { SampleCall } from '../decoding_calls';
import type { Dispatch, Op } from '../op';
import { checkSampledLogits, checkStates } from './check';
import { choiceDispatch } from './choice_dispatch';
import { ACCEPTED, commitToken, floatBits, NO_CHANCE, NO_LOGPROB, SAMPLE, SAMPLE_WORDS, windowOf } from './record';
import { chooseToken, logSoftmax, topLogprobs } from './reference';
import { guessBehind } from './rejection';
import { STREAM, uniformAt } from './rng';
import { slotStateOf } from './slot_state';

/** Invocations of a workgroup of ops/sample_commit.wgsl: segments that one takes over. */
const COMMIT_SEGMENTS = 64;

/** Writes a row's sample record: what was asked of the log-probabilities is of the raw logits. `verdict`: see Sample. */
export function writeSample(
  samples: Uint32Array,
  row: number,
  token: number,
  logits: Float32Array,
  wanted: number,
  verdict: { readonly accepted: boolean; readonly noChance?: boolean },
): void {
  const at = row * SAMPLE_WORDS;
  const flag = (verdict.accepted ? ACCEPTED : 0) + (verdict.noChance ? NO_CHANCE : 0);
  if (wanted < 0) {
    samples.set([token, NO_LOGPROB, flag, 0], at);
    return;
  }
  const logprobs = logSoftmax(logits);
  const top = topLogprobs(logits, logprobs, wanted);
  samples.set([token, floatBits(logprobs[token]), top.length + flag, 0], at);
  samples.set(
    top.flatMap(([t, logprob]) => [t, floatBits(logprob)]),
    at + SAMPLE.top,
  );
}

/** The general sampler; the definition is in docs/kernels/sampling.md. */
export const sampleOp: Op<SampleCall> = {
  name: 'sample',

  check(call) {
    checkSampledLogits(call);
    const { logits, lastTokens, counts, bias, mu, past } = call;
    const slots = lastTokens.words;
    checkStates('sample', slots, [
      [counts, logits.cols],
      [bias, MAX_LOGIT_BIAS * 2],
      [mu, 1],
    ]);
    if (past.words === 0 || past.words % slots !== 0) {
      throw new InternalError(`sample: "${past.name}" has ${past.words} words for ${slots} slots`);
    }
  },

  reference(call, env) {
    const { batch } = env;
    const { cols } = call.logits;
    const logits = env.activation(call.logits);
    const counts = env.state(call.counts);
    const samples = env.state(call.samples);
    const lastTokens = env.state(call.lastTokens);
    batch.sampled.forEach(({ row, segment }, index) => {
      const { sampling } = batch.source.segments[segment];
      if (chainOfSegment(batch.source.segments[segment])) return;
      const state = slotStateOf(call, env, index, cols);
      const rowLogits = logits.subarray(index * cols, (index + 1) * cols);
      const uniform = uniformAt(sampling.seed, batch.rows[row].position, STREAM.token);
      const { token, noChance } = chooseToken(rowLogits, sampling, state, uniform);
      const accepted = guessBehind(batch, index)?.token === token;
      writeSample(samples, index, token, rowLogits, sampling.topLogprobs, { accepted, noChance });
    });
    const past = env.state(call.past);
    const mu = env.state(call.mu);
    const contextLength = past.length / lastTokens.length;
    const tokenOf = (index: number): number => samples[index * SAMPLE_WORDS + SAMPLE.token];
    batch.sampled.forEach(({ row, segment }, index) => {
      const { slot, firstSampledRow } = batch.segments[segment];
      const { sampling } = batch.source.segments[segment];
      const at = index * SAMPLE_WORDS;
      const token = tokenOf(index);
      lastTokens[slot] = token;
      // Behind a guess that was wrong nothing stands.
      for (let before = firstSampledRow; before < index; before++) {
        if (samples[before * SAMPLE_WORDS + SAMPLE.topCount] < ACCEPTED) return;
      }
      if (sampling.mirostat > 0) mu[slot] = samples[at + SAMPLE.mu];
      commitToken(
        token,
        batch.rows[row].position + 1,
        windowOf(sampling),
        counts.subarray(slot * cols, (slot + 1) * cols),
        past.subarray(slot * contextLength, (slot + 1) * contextLength),
      );
    });
  },

  dispatches(call, target): readonly Dispatch[] {
    return [
      choiceDispatch(call, target, { name: 'sample', entry: 'ops/sample.wgsl' }),
      {
        label: 'sample commit',
        source: { entry: 'ops/sample_commit.wgsl' },
        bindings: [
          { kind: 'step' },
          { kind: 'state', state: call.samples, access: 'read' },
          { kind: 'state', state: call.lastTokens, access: 'write' },
          { kind: 'state', state: call.counts, access: 'write' },
          { kind: 'state', state: call.past, access: 'write' },
          { kind: 'state', state: call.mu, access: 'write' },
        ],
        workgroups: (step) =>
          step.greedy || step.sampledRows === 0 ? [0, 0, 0] : [Math.ceil(step.segments / COMMIT_SEGMENTS), 1, 1],
        traffic: (step) => step.sampledRows * 16,
      },
    ];
  },
};
