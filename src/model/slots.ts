import type { SamplingSettings } from '../engine/runner';

/** True when sampling with these settings reads the slot's token counts. */
export function usesCounts(s: SamplingSettings): boolean {
  return s.repetitionPenalty !== 1 || s.frequencyPenalty !== 0 || s.presencePenalty !== 0;
}
