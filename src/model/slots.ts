import type { SamplingSettings, SlotInit } from '../engine/runner';

/** True when sampling with these settings reads the slot's token counts. */
export function usesCounts(s: SamplingSettings): boolean {
  return s.repetitionPenalty !== 1 || s.frequencyPenalty !== 0 || s.presencePenalty !== 0;
}

const IN_PROMPT = 0x80000000;

/** Penalty counts of a slot: bit 31 marks tokens of the prompt, the rest counts occurrences in the output. */
export function initialCounts(init: SlotInit, vocabSize: number): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(vocabSize);
  for (const token of init.promptTokens) counts[token] = IN_PROMPT;
  for (const token of init.outputTokens) counts[token]++;
  return counts;
}
