/** Ways to choose tokens that are more than a sampler of one row; each a group of branches (docs/decoding.md). */
import { ContextLengthError, InvalidOptionError, UnsupportedModelError } from '../../errors';
import { slidingPagesFor } from '../kv_pages';
import { checkPrompt } from '../request_checks';
import { GREEDY, MAX_TOP_LOGPROBS, type RunnerLimits, type SamplingSettings } from '../runner';
import { usesDry } from '../sampler_chain';
import { BeamSearch } from './beam_search';
import { type BeamSettings, topNeeded } from './beam_selection';
import { ContrastiveSearch, type ContrastiveSettings } from './contrastive_search';
import { type GuidanceSettings, GuidedPair } from './guided_pair';
import type { ChoicesRequest, StartedStrategy, StrategyHost, StrategyRequest } from './host';

export type Strategy =
  | ({ readonly kind: 'beams' } & BeamSettings)
  | ({ readonly kind: 'contrastive' } & ContrastiveSettings)
  | ({ readonly kind: 'guidance' } & GuidanceSettings);

const NAMES = {
  beams: 'beam search',
  contrastive: 'contrastive search',
  guidance: 'guidance',
} as const satisfies Record<Strategy['kind'], string>;

/** Scales beyond this leave one token. */
const MAX_GUIDANCE = 100;

/** Length penalties beyond this make numbers that no longer fit. */
const MAX_LENGTH_PENALTY = 10;

/** See StartStrategy. */
export function startStrategy(
  strategy: Strategy,
  { request, count, limits, onToken }: StrategyRequest,
  host: StrategyHost,
): StartedStrategy {
  const name = NAMES[strategy.kind];
  if (strategy.kind === 'guidance') checkGuidance(strategy, request, count, limits);
  else checkSampling(request.sampling, name);
  if (request.speculation) throw new InvalidOptionError('speculation', `does not go with ${name}`);
  if (request.dola) throw new InvalidOptionError('dola_layers', `does not go with ${name}`);
  if (limits.recurrent) {
    throw new UnsupportedModelError(
      `${name} shares what was computed or takes it back, which a model with recurrent layers cannot`,
    );
  }
  if (strategy.kind === 'guidance') {
    const pair = new GuidedPair(request, strategy, roomForBoth(strategy, request, limits), host, onToken?.(0));
    return { generations: [pair.generation], abort: () => pair.abort() };
  }
  if (strategy.kind === 'contrastive') {
    checkContrastive(strategy, count, limits);
    const search = new ContrastiveSearch(request, strategy, host, onToken?.(0));
    return { generations: [search.generation], abort: () => search.abort() };
  }
  checkBeams(strategy, count, request.stopTokens);
  const search = new BeamSearch(request, strategy, count, host, onToken);
  return { generations: search.generations, abort: () => search.abort() };
}

/** The strategies compare the model's own probabilities: settings that change them would be ignored. */
function checkSampling(sampling: SamplingSettings, name: string): void {
  for (const field of Object.keys(GREEDY) as (keyof SamplingSettings)[]) {
    if (field === 'seed' || field === 'topLogprobs') continue;
    if (JSON.stringify(sampling[field]) === JSON.stringify(GREEDY[field])) continue;
    const option = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    throw new InvalidOptionError(option, `does not go with ${name}, which draws nothing`);
  }
}

function checkGuidance(
  { scale, negativeTokens }: GuidanceSettings,
  { sampling }: ChoicesRequest,
  count: number,
  limits: RunnerLimits,
): void {
  if (negativeTokens.length > 0) checkPrompt(negativeTokens, 'tokens', limits);
  if (!(Math.abs(scale) <= MAX_GUIDANCE)) {
    throw new InvalidOptionError('guidance_scale', `${scale} is not a number from -${MAX_GUIDANCE} to ${MAX_GUIDANCE}`);
  }
  if (count > 1) throw new InvalidOptionError('n', `${count} answers: guidance gives one`);
  // Both keep what happened outside of the logits.
  if (usesDry(sampling)) throw new InvalidOptionError('dry_multiplier', 'does not go with guidance');
  if (sampling.mirostat > 0) throw new InvalidOptionError('mirostat', 'does not go with guidance');
}

/** Output tokens that fit when both prompts are in the cache at once. Throws ContextLengthError when there is none. */
function roomForBoth(
  { negativeTokens }: GuidanceSettings,
  { promptTokens, maxTokens }: ChoicesRequest,
  { numPages, pageSize, contextLength, maxSlots, maxRows, maxSampledRows, sliding }: RunnerLimits,
): number {
  const prompts = promptTokens.length + Math.max(1, negativeTokens.length);
  // Each of the two may leave a page unfinished, and have a copy of one that was shared.
  const pool = (numPages - 4) * pageSize;
  const room = Math.min(
    contextLength - Math.max(promptTokens.length, negativeTokens.length),
    Math.floor((pool - prompts) / 2),
    maxTokens,
  );
  if (room < 1) throw new ContextLengthError(prompts + 2, pool);
  const least = sliding ? 2 * slidingPagesFor(sliding.window, maxRows, pageSize) : 0;
  if (maxSlots < 2 || maxRows < 2 || maxSampledRows < 2 || (sliding?.numPages ?? 0) < least) {
    throw new UnsupportedModelError('guidance computes two prompts at once, for which there is no room here');
  }
  return room;
}

function checkContrastive({ penaltyAlpha, topK }: ContrastiveSettings, count: number, limits: RunnerLimits): void {
  if (!(penaltyAlpha > 0 && penaltyAlpha <= 1)) {
    throw new InvalidOptionError('penalty_alpha', `${penaltyAlpha} is not a number above 0, at most 1`);
  }
  if (!Number.isSafeInteger(topK) || topK < 2 || topK > MAX_TOP_LOGPROBS) {
    throw new InvalidOptionError('top_k', `${topK} candidates: contrastive search has 2 to ${MAX_TOP_LOGPROBS}`);
  }
  if (count > 1)
    throw new InvalidOptionError('n', `${count} answers: contrastive search gives one, and always the same`);
  if (limits.hiddenSize === undefined) {
    throw new UnsupportedModelError(
      'contrastive search compares the outputs of the last layer, which are not to be had here',
    );
  }
}

function checkBeams(
  { numBeams, lengthPenalty, earlyStopping }: BeamSettings,
  count: number,
  stopTokens: ReadonlySet<number>,
): void {
  const most = MAX_TOP_LOGPROBS - topNeeded(0, stopTokens);
  if (!Number.isSafeInteger(numBeams) || numBeams < 1 || numBeams > most) {
    throw new InvalidOptionError(
      'num_beams',
      `${numBeams} is not an integer from 1 to ${most}: of each beam the ${MAX_TOP_LOGPROBS} likeliest tokens are known, with ${stopTokens.size} that stop`,
    );
  }
  if (!(Math.abs(lengthPenalty) <= MAX_LENGTH_PENALTY)) {
    throw new InvalidOptionError(
      'length_penalty',
      `${lengthPenalty} is not a number from -${MAX_LENGTH_PENALTY} to ${MAX_LENGTH_PENALTY}`,
    );
  }
  if (typeof earlyStopping !== 'boolean' && earlyStopping !== 'never') {
    throw new InvalidOptionError('early_stopping', 'must be true, false or "never"');
  }
  if (count > numBeams) throw new InvalidOptionError('n', `${count} answers of ${numBeams} beams`);
}
