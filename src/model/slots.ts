import type { SlotInit } from '../engine/runner';

/** Mirostat's limit of surprise for a slot's next token, in bits: at first twice what it aims at (Basu et al. 2021). */
export function firstMu({ sampling, mu = 2 * sampling.mirostatTau }: SlotInit): number {
  return mu;
}
