import { MAX_LOGIT_BIAS, type Proposal } from '../../engine/runner';
import { chainOfSegment } from '../../engine/sampler_chain';
import type { SampleChainCall } from '../decoding_calls';
import type { Dispatch, Op } from '../op';
import { chooseByChain } from './chain';
import { checkSampledLogits, checkStates } from './check';
import { choiceDispatch } from './choice_dispatch';
import { bitsToFloat, encodeMu, floatBits, NO_CHANCE, SAMPLE, SAMPLE_WORDS } from './record';
import { guessBehind } from './rejection';
import { STREAM, uniformAt } from './rng';
import { writeSample } from './sample';
import { slotStateOf } from './slot_state';

/** Takes the place of the log-probabilities. */
function writeProposal(samples: Uint32Array, row: number, proposal: Proposal): void {
  const at = row * SAMPLE_WORDS;
  samples[at + SAMPLE.topCount] += proposal.length - (samples[at + SAMPLE.topCount] % NO_CHANCE);
  samples.set(
    proposal.flatMap(([token, probability]) => [token, floatBits(probability)]),
    at + SAMPLE.top,
  );
}

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
      const own = batch.source.segments[segment];
      if (!chainOfSegment(own)) return;
      const { sampling, dryPenalties = [], proposals = [] } = own;
      const { slot, firstSampledRow } = batch.segments[segment];
      const { position } = batch.rows[row];
      const uniform = (stream: number): number => uniformAt(sampling.seed, position, stream);
      const rowLogits = logits.subarray(index * cols, (index + 1) * cols);
      const behind = guessBehind(batch, index);
      const proposal = proposals[index - firstSampledRow];
      const chosen = chooseByChain(
        rowLogits,
        own,
        {
          ...slotStateOf(call, env, index, cols),
          dry: dryPenalties[index - firstSampledRow] ?? [],
          mu: bitsToFloat(mu[slot]),
        },
        {
          token: uniform(STREAM.token),
          xtc: uniform(STREAM.xtc),
          proposal: uniform(STREAM.proposal),
          accept: uniform(STREAM.accept),
        },
        behind && proposal && { token: behind.token, proposal },
      );
      const { token, noChance } = chosen;
      const accepted = behind?.token === token;
      writeSample(samples, index, token, rowLogits, sampling.topLogprobs, { accepted, noChance });
      if (chosen.proposal) writeProposal(samples, index, chosen.proposal);
      if (chosen.mu !== undefined) samples[index * SAMPLE_WORDS + SAMPLE.mu] = encodeMu(chosen.mu);
    });
  },

  dispatches(call, target): readonly Dispatch[] {
    return [choiceDispatch(call, target, { name: 'sample chain', entry: 'ops/sample_chain.wgsl', mu: call.mu })];
  },
};
