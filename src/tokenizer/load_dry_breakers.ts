import type { DryBreakers } from '../engine/dry';
import type { SamplingSettings } from '../engine/runner';
import { usesDry } from '../engine/sampler_chain';
import type { Tokenizer } from './contract';

/** `GenerateRequest.dryBreakers` of a request with these settings. The code comes with the first that needs it. */
export async function loadDryBreakers(
  tokenizer: Tokenizer,
  sampling: SamplingSettings,
): Promise<DryBreakers | undefined> {
  if (!usesDry(sampling)) return undefined;
  const { dryBreakersOf } = await import('./dry_breakers');
  return dryBreakersOf(tokenizer, sampling.drySequenceBreakers);
}
