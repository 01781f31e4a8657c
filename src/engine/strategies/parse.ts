import { InvalidOptionError } from '../../errors';
import type { Strategy } from './strategy';

/** The options that are a strategy's alone: transformers' names. */
export const STRATEGY_FIELDS: readonly string[] = [
  'num_beams',
  'length_penalty',
  'early_stopping',
  'penalty_alpha',
  'guidance_scale',
];

/** Candidates of contrastive search when nobody says how many: within the 3 to 10 of its authors. */
const DEFAULT_CANDIDATES = 4;

/**
 * Reads the options of a strategy; null and undefined mean absent. Undefined where they ask for none (one beam, a penalty of 0 and guidance of scale 1 are none).
 * `top_k` is read where it is a strategy's: with `penalty_alpha`. Throws InvalidOptionError for one that goes with a strategy that was not
 * asked for; ranges are the strategy's to check.
 */
export function parseStrategy(input: Readonly<Record<string, unknown>>): Strategy | undefined {
  const given = (field: string): unknown => input[field] ?? undefined;
  const numBeams = parseNumber('num_beams', given('num_beams')) ?? 1;
  const penaltyAlpha = parseNumber('penalty_alpha', given('penalty_alpha')) ?? 0;
  const scale = parseNumber('guidance_scale', given('guidance_scale')) ?? 1;
  if (scale !== 1 && (numBeams !== 1 || penaltyAlpha !== 0)) {
    throw new InvalidOptionError(
      'guidance_scale',
      `does not go with ${numBeams === 1 ? 'contrastive' : 'beam'} search`,
    );
  }
  if (numBeams === 1) {
    for (const field of ['length_penalty', 'early_stopping']) {
      if (given(field) !== undefined) throw new InvalidOptionError(field, 'goes with beam search');
    }
    if (scale !== 1) return { kind: 'guidance', scale, negativeTokens: [] };
    if (penaltyAlpha === 0) return undefined;
    const topK = parseNumber('top_k', given('top_k')) ?? DEFAULT_CANDIDATES;
    return { kind: 'contrastive', penaltyAlpha, topK };
  }
  if (penaltyAlpha !== 0) throw new InvalidOptionError('penalty_alpha', 'does not go with beam search');
  const earlyStopping = given('early_stopping') ?? false;
  if (typeof earlyStopping !== 'boolean' && earlyStopping !== 'never') {
    throw new InvalidOptionError('early_stopping', 'must be true, false or "never"');
  }
  const lengthPenalty = parseNumber('length_penalty', given('length_penalty')) ?? 1;
  return { kind: 'beams', numBeams, lengthPenalty, earlyStopping };
}

function parseNumber(field: string, value: unknown): number | undefined {
  if (value !== undefined && typeof value !== 'number') throw new InvalidOptionError(field, 'must be a number');
  return value;
}
