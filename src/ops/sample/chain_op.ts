import { MAX_LOGIT_BIAS } from '../../engine/runner';
import { chainOf } from '../../engine/sampler_chain';
import type { SampleChainCall } from '../decoding_calls';
import type { Dispatch, Op } from '../op';
import { chooseByChain } from './chain';
import { checkSampledLogits, checkStates } from './check';
import { choiceDispatch } from './choice_dispatch';
import { bitsToFloat, encodeMu, SAMPLE, SAMPLE_WORDS } from './record';
import { STREAM, uniformAt } from './rng';
import { writeSample } from './sample';
import { slotStateOf } from './slot_state';

/** The sampler chain; the definition is in docs/kernels/sampling.md. Leaves rows alone whose settings the plain sampler knows. */
export const sampleChainOp: Op<SampleChainCall> = {
  name: 'sample_chain',

  check(call) {
    checkSampledLogits(call);
    checkStates('sample_chain', call.mu.words, [
      [call.counts, call.logits.cols],
      [call.bias, MAX_LOGIT_BIAS * 2],
    ]);
  },

  reference(call, env) {
    const { batch } = env;
    const { cols } = call.logits;
    const logits = env.activation(call.logits);
    const mu = env.state(call.mu);
    const samples = env.state(call.samples);
    batch.sampled.forEach(({ row, segment }, index) => {
      const { sampling, dryPenalties = [] } = batch.source.segments[segment];
      if (!chainOf(sampling)) return;
      const { slot, firstSampledRow } = batch.segments[segment];
      const { position } = batch.rows[row];
      const rowLogits = logits.subarray(index * cols, (index + 1) * cols);
      const chosen = chooseByChain(
        rowLogits,
        sampling,
        {
          ...slotStateOf(call, env, index, cols),
          dry: dryPenalties[index - firstSampledRow] ?? [],
          mu: bitsToFloat(mu[slot]),
        },
        {
          token: uniformAt(sampling.seed, position, STREAM.token),
          xtc: uniformAt(sampling.seed, position, STREAM.xtc),
        },
      );
      writeSample(samples, index, chosen.token, rowLogits, sampling.topLogprobs);
      if (chosen.mu !== undefined) samples[index * SAMPLE_WORDS + SAMPLE.mu] = encodeMu(chosen.mu);
    });
  },

  dispatches(call, target): readonly Dispatch[] {
    const context = call.past.words / call.mu.words;
    return [
      choiceDispatch(call, target, { name: 'sample chain', entry: 'ops/sample_chain.wgsl', context, mu: call.mu }),
    ];
  },
};
