import { MAX_LOGIT_BIAS } from '../engine/runner';
import type { State } from './op';
import { SAMPLE_WORDS } from './sample/record';

/** The GPU-resident state that choosing tokens reads and writes; it outlives a step. */
export interface SamplerStates {
  /** [maxSlots]: the token that each slot sampled last. */
  readonly lastTokens: State;
  /** [maxSlots × vocabSize]: bit 31 = in the prompt, the rest = occurrences in the output. */
  readonly counts: State;
  /** [maxSlots × MAX_LOGIT_BIAS × 2]: pairs of token and f32 bits. */
  readonly bias: State;
  /** [maxSampledRows × SAMPLE_WORDS]: what comes back to the host, see sample/record.ts. */
  readonly samples: State;
}

export function samplerStates(sizes: {
  readonly maxSlots: number;
  readonly vocabSize: number;
  readonly maxSampledRows: number;
}): SamplerStates {
  return {
    lastTokens: { name: 'last_tokens', words: sizes.maxSlots },
    counts: { name: 'token_counts', words: sizes.maxSlots * sizes.vocabSize },
    bias: { name: 'logit_bias', words: sizes.maxSlots * MAX_LOGIT_BIAS * 2 },
    samples: { name: 'samples', words: sizes.maxSampledRows * SAMPLE_WORDS },
  };
}
