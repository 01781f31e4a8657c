/** Ways to choose tokens that are more than a sampler of one row; each a group of branches (docs/decoding.md). */
import { InvalidOptionError, UnsupportedModelError } from '../../errors';
import { GREEDY, MAX_TOP_LOGPROBS, type RunnerLimits, type SamplingSettings } from '../runner';
import { BeamSearch } from './beam_search';
import { type BeamSettings, topNeeded } from './beam_selection';
import { ContrastiveSearch, type ContrastiveSettings } from './contrastive_search';
import type { StartedStrategy, StrategyHost, StrategyRequest } from './host';

export type Strategy =
  | ({ readonly kind: 'beams' } & BeamSettings)
  | ({ readonly kind: 'contrastive' } & ContrastiveSettings);

const NAMES = { beams: 'beam search', contrastive: 'contrastive search' } as const satisfies Record<
  Strategy['kind'],
  string
>;

/** Length penalties beyond this make numbers that no longer fit. */
const MAX_LENGTH_PENALTY = 10;

/** See StartStrategy. */
export function startStrategy(
  strategy: Strategy,
  { request, count, limits, onToken }: StrategyRequest,
  host: StrategyHost,
): StartedStrategy {
  const name = NAMES[strategy.kind];
  checkSampling(request.sampling, name);
  if (request.speculation) throw new InvalidOptionError('speculation', `does not go with ${name}`);
  if (request.dola) throw new InvalidOptionError('dola_layers', `does not go with ${name}`);
  if (limits.recurrent) {
    throw new UnsupportedModelError(
      `${name} shares what was computed between continuations, which a model with recurrent layers cannot`,
    );
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
