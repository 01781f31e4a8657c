import { MAX_LOGIT_BIAS } from '../../engine/runner';
import { chainOf } from '../../engine/sampler_chain';
import { InternalError } from '../../errors';
import type { SampleChainCall } from '../decoding_calls';
import type { Dispatch, Op } from '../op';
import { chooseByChain } from './chain';
import { checkSampledLogits, checkStates } from './check';
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
    const { cols, type } = call.logits;
    const rows = target.maxSampledRows;
    if (rows > target.capabilities.limits.maxComputeWorkgroupsPerDimension) {
      throw new InternalError(`sample_chain: ${rows} sampled rows exceed the device's workgroups per dimension`);
    }
    return [
      {
        label: `sample chain ${type}`,
        source: {
          entry: 'ops/sample_chain.wgsl',
          aliases: { Act: type },
          overrides: { VOCAB: cols, CONTEXT: call.past.words / call.mu.words },
        },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: call.logits, access: 'read' },
          { kind: 'state', state: call.counts, access: 'read' },
          { kind: 'state', state: call.bias, access: 'read' },
          { kind: 'state', state: call.past, access: 'read' },
          { kind: 'state', state: call.mu, access: 'read' },
          { kind: 'scratch', name: 'sample.keys', bytes: rows * cols * 4, access: 'write' },
          { kind: 'state', state: call.samples, access: 'write' },
        ],
        workgroups: (step) => (step.greedy ? [0, 0, 0] : [step.sampledRows, 1, 1]),
        traffic: (step) => step.sampledRows * (cols * (type === 'f16' ? 2 : 4) + SAMPLE_WORDS * 4),
      },
    ];
  },
};
