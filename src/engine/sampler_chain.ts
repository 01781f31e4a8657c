import type { SamplerName, SamplingSettings } from './sampling_settings';

/** One thing that is done to the logits before the draw. */
export type ChainStage = SamplerName | 'bias' | 'mirostat_1' | 'mirostat_2';

/** The order that the plain sampler knows. */
const PLAIN: readonly ChainStage[] = ['penalties', 'bias', 'top_k', 'top_p', 'min_p', 'temperature'];

/** Says of each sampler whether these settings make it do something. */
const ACTIVE: Readonly<Record<SamplerName, (s: SamplingSettings) => boolean>> = {
  penalties: usesPenalties,
  dry: usesDry,
  top_n_sigma: (s) => s.topNSigma > 0,
  top_k: (s) => s.topK > 0,
  typ_p: (s) => s.typicalP < 1,
  top_p: (s) => s.topP < 1,
  min_p: (s) => s.minP > 0,
  xtc: (s) => s.xtcProbability > 0 && s.xtcThreshold <= 0.5,
  temperature: (s) => s.temperature !== 1 || s.dynatempRange > 0,
};

/** True when what was chosen before changes logits. */
export function usesPenalties(s: SamplingSettings): boolean {
  return s.repeatLastN !== 0 && (s.repetitionPenalty !== 1 || s.frequencyPenalty !== 0 || s.presencePenalty !== 0);
}

/** True when each choice needs the tokens before it on the host. */
export function usesDry(s: SamplingSettings): boolean {
  return s.dryMultiplier > 0 && s.dryPenaltyLastN !== 0;
}

/** True when these settings make the sampler do something, listed or not. */
export function isActive(sampler: SamplerName, s: SamplingSettings): boolean {
  return ACTIVE[sampler](s);
}

/** True when a choice depends on the logits, the seed and the position alone, and on no token that was sampled before. */
export function isMemoryless(s: SamplingSettings): boolean {
  return !usesPenalties(s) && !usesDry(s) && s.mirostat === 0;
}

/**
 * True when guesses can be verified side by side with these settings: what a row's choice depends on is known before the rows before it are
 * chosen, as its guesses are their tokens. Mirostat learns from each choice how surprising it was, which no guess says.
 */
export function isVerifiable(s: SamplingSettings): boolean {
  return s.mirostat === 0;
}

const chains = new WeakMap<SamplingSettings, { readonly stages: readonly ChainStage[] | undefined }>();

/**
 * The stages that these settings ask for, in order; the draw follows them. Undefined when the plain sampler does the same: its stages are
 * penalties, bias, top-k, top-p, min-p and a fixed temperature, in this order.
 */
export function chainOf(s: SamplingSettings): readonly ChainStage[] | undefined {
  const known = chains.get(s);
  if (known) return known.stages;
  const all = stagesOf(s);
  const stages = isPlain(all, s) ? undefined : all;
  chains.set(s, { stages });
  return stages;
}

/** What a segment (runner.ts) says about how its tokens are chosen. */
export interface SegmentSampling {
  readonly sampling: SamplingSettings;
  readonly proposals?: unknown;
  readonly proposes?: boolean;
}

/** As `chainOf`, for a segment: guesses that come with probabilities are made and judged by the chain, whatever the settings. */
export function chainOfSegment({ sampling, proposals, proposes }: SegmentSampling): readonly ChainStage[] | undefined {
  return chainOf(sampling) ?? (proposals !== undefined || proposes ? stagesOf(sampling) : undefined);
}

/** Bias comes right after penalties that begin the chain, else first of all. */
function stagesOf(s: SamplingSettings): ChainStage[] {
  const stages: ChainStage[] = s.samplers.filter((sampler) => ACTIVE[sampler](s));
  if (s.logitBias.length > 0) stages.splice(stages[0] === 'penalties' ? 1 : 0, 0, 'bias');
  if (s.mirostat > 0) stages.push(s.mirostat === 1 ? 'mirostat_1' : 'mirostat_2');
  return stages;
}

function isPlain(stages: readonly ChainStage[], s: SamplingSettings): boolean {
  if (s.dynatempRange > 0) return false;
  let at = 0;
  for (const stage of stages) {
    at = PLAIN.indexOf(stage, at) + 1;
    if (at === 0) return false;
  }
  return true;
}
