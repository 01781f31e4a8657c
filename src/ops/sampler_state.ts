import { MAX_LOGIT_BIAS } from '../engine/runner';
import type { State } from './op';
import { SAMPLE_WORDS } from './sample/record';

/** The GPU-resident state that choosing tokens reads and writes; it outlives a step. */
export interface SamplerStates {
  /** [maxSlots]: the token that each slot sampled last. */
  readonly lastTokens: State;
  /** [maxSlots × vocabSize]: bit 31 = in the prompt, the rest = occurrences in the output; within the window where there is one. */
  readonly counts: State;
  /** [maxSlots × MAX_LOGIT_BIAS × 2]: pairs of token and f32 bits. */
  readonly bias: State;
  /** [maxSlots × contextLength]: the tokens by position, for penalties with a window; see encodePast in sample/record.ts. */
  readonly past: State;
  /** [maxSlots] f32: mirostat's limit of surprise, in bits. */
  readonly mu: State;
  /** [maxSampledRows × SAMPLE_WORDS]: what comes back to the host, see sample/record.ts. */
  readonly samples: State;
}

export function samplerStates(sizes: {
  readonly maxSlots: number;
  readonly vocabSize: number;
  readonly maxSampledRows: number;
  readonly contextLength: number;
}): SamplerStates {
  return {
    lastTokens: { name: 'last_tokens', words: sizes.maxSlots },
    counts: { name: 'token_counts', words: sizes.maxSlots * sizes.vocabSize },
    bias: { name: 'logit_bias', words: sizes.maxSlots * MAX_LOGIT_BIAS * 2 },
    past: { name: 'past_tokens', words: sizes.maxSlots * sizes.contextLength },
    mu: { name: 'mirostat_mu', words: sizes.maxSlots },
    samples: { name: 'samples', words: sizes.maxSampledRows * SAMPLE_WORDS },
  };
}
