import { InternalError } from '../../errors';
import type { ArgmaxCall, SampleCall, SampleChainCall } from '../decoding_calls';
import type { State } from '../op';
import { SAMPLE_WORDS } from './record';

/** Probability mass is summed in fixed point, 12 bits of which hold carries (shaders/lib/radix_select.wgsl). */
const MAX_VOCAB = 2 ** 20;

/** What argmax and sample ask of the tensors that they share. */
export function checkSampledLogits(call: ArgmaxCall | SampleCall | SampleChainCall): void {
  const { logits, samples } = call;
  if (logits.rows !== 'sampled')
    throw new InternalError(`${call.op}: "${logits.name}" must have one row per sampled row`);
  if (logits.cols < 1 || logits.cols > MAX_VOCAB) {
    throw new InternalError(`${call.op}: "${logits.name}" has ${logits.cols} columns, expected 1 to ${MAX_VOCAB}`);
  }
  if (samples.words % SAMPLE_WORDS !== 0 || samples.words === 0) {
    throw new InternalError(
      `${call.op}: "${samples.name}" has ${samples.words} words, expected a multiple of ${SAMPLE_WORDS}`,
    );
  }
}

/** Checks the sizes of states by the number of slots that they are for. */
export function checkStates(op: string, slots: number, expected: readonly (readonly [State, number])[]): void {
  for (const [state, words] of expected) {
    if (state.words !== words * slots) {
      throw new InternalError(
        `${op}: "${state.name}" has ${state.words} words, expected ${words * slots} for ${slots} slots`,
      );
    }
  }
}
