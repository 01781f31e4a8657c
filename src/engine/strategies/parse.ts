import { InvalidOptionError } from '../../errors';
import type { Strategy } from './strategy';

/** The options that `parseStrategy` knows: transformers' names. */
export const STRATEGY_FIELDS: readonly string[] = ['num_beams', 'length_penalty', 'early_stopping'];

/**
 * Reads the options of a strategy; null and undefined mean absent. Undefined where they ask for none (one beam is none). Throws InvalidOptionError for
 * one that goes with a strategy that was not asked for; ranges are the strategy's to check.
 */
export function parseStrategy(input: Readonly<Record<string, unknown>>): Strategy | undefined {
  const given = (field: string): unknown => input[field] ?? undefined;
  const numBeams = parseNumber('num_beams', given('num_beams'));
  if (numBeams === undefined || numBeams === 1) {
    for (const field of ['length_penalty', 'early_stopping']) {
      if (given(field) !== undefined) throw new InvalidOptionError(field, 'goes with beam search');
    }
    return undefined;
  }
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
