import { MAX_LOGIT_BIAS, type SamplingSettings } from '../../engine/runner';
import { usesPenalties } from '../../engine/sampler_chain';
import type { ReferenceEnv, State } from '../op';
import { bitsToFloat, commitToken, windowOf } from './record';
import type { SlotState } from './reference';

/** The states that both samplers read. */
interface SamplerInputs {
  readonly counts: State;
  readonly bias: State;
  readonly past: State;
}

/**
 * What a slot knows when the token of sampled row `index` is chosen. In a step that verifies guesses the rows before have chosen the tokens of
 * the rows behind them: if they have not, nobody looks at this one.
 */
export function slotStateOf(
  call: SamplerInputs,
  env: Pick<ReferenceEnv, 'batch' | 'state'>,
  index: number,
  vocab: number,
): SlotState {
  const { batch } = env;
  const { segment } = batch.sampled[index];
  const { slot, firstSampledRow } = batch.segments[segment];
  const { sampling } = batch.source.segments[segment];
  const allBias = env.state(call.bias);
  const firstBias = slot * MAX_LOGIT_BIAS * 2;
  const bias = Array.from(
    { length: sampling.logitBias.length },
    (_, i) => [allBias[firstBias + 2 * i], bitsToFloat(allBias[firstBias + 2 * i + 1])] as const,
  );
  const allCounts = env.state(call.counts);
  const counts = allCounts.subarray(slot * vocab, (slot + 1) * vocab);
  const guesses = batch.sampled.slice(firstSampledRow + 1, index + 1).map(({ row }) => batch.rows[row]);
  const allPast = env.state(call.past);
  const contextLength = allPast.length / (allCounts.length / vocab);
  const past = allPast.subarray(slot * contextLength, (slot + 1) * contextLength);
  return { counts: countsBehind(guesses, sampling, counts, past), bias };
}

/** A slot's counts when these tokens have been chosen; nothing is changed. */
export function countsBehind(
  guesses: readonly { readonly token: number; readonly position: number }[],
  sampling: SamplingSettings,
  counts: Uint32Array,
  past: Uint32Array,
): Uint32Array {
  if (guesses.length === 0 || !usesPenalties(sampling)) return counts;
  const countsThen = counts.slice();
  const pastThen = past.slice();
  for (const { token, position } of guesses) commitToken(token, position, windowOf(sampling), countsThen, pastThen);
  return countsThen;
}
