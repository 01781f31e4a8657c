import { InvalidOptionError } from '../errors';
import { GREEDY, MAX_LOGIT_BIAS, MAX_TOP_LOGPROBS, SAMPLERS, type SamplerName, type SamplingSettings } from './runner';
import { isActive } from './sampler_chain';

/** OpenAI's names of the sampling options; what it lacks is spelled as llama.cpp's server has it. */
const FIELD_NAMES = {
  temperature: 'temperature',
  dynatempRange: 'dynatemp_range',
  dynatempExponent: 'dynatemp_exponent',
  topK: 'top_k',
  topP: 'top_p',
  minP: 'min_p',
  typicalP: 'typical_p',
  topNSigma: 'top_n_sigma',
  xtcProbability: 'xtc_probability',
  xtcThreshold: 'xtc_threshold',
  mirostat: 'mirostat',
  mirostatTau: 'mirostat_tau',
  mirostatEta: 'mirostat_eta',
  repetitionPenalty: 'repetition_penalty',
  frequencyPenalty: 'frequency_penalty',
  presencePenalty: 'presence_penalty',
  repeatLastN: 'repeat_last_n',
  dryMultiplier: 'dry_multiplier',
  dryBase: 'dry_base',
  dryAllowedLength: 'dry_allowed_length',
  dryPenaltyLastN: 'dry_penalty_last_n',
  drySequenceBreakers: 'dry_sequence_breakers',
  samplers: 'samplers',
  logitBias: 'logit_bias',
  seed: 'seed',
  topLogprobs: 'top_logprobs',
} as const satisfies Record<keyof SamplingSettings, string>;

/** The options that `parseSampling` knows. */
export const SAMPLING_FIELDS: readonly string[] = [...Object.values(FIELD_NAMES), 'logprobs'];

interface SamplingContext {
  /** What absent options mean; GREEDY when not given. */
  readonly defaults?: SamplingSettings;
  /** When given, tokens of `logit_bias` must be below it. */
  readonly vocabSize?: number;
}

function isBetween(low: number, high: number): (x: number) => boolean {
  return (x) => x >= low && x <= high;
}

const RULES: readonly {
  readonly field: Exclude<keyof SamplingSettings, 'logitBias' | 'drySequenceBreakers' | 'samplers'>;
  readonly holds: (x: number) => boolean;
  readonly expected: string;
}[] = [
  { field: 'temperature', holds: isBetween(0, 100), expected: 'a number from 0 to 100' },
  { field: 'topK', holds: isCount(2 ** 31), expected: 'an integer of at least 0' },
  { field: 'topP', holds: (x) => x > 0 && x <= 1, expected: 'a number above 0, at most 1' },
  { field: 'minP', holds: (x) => x >= 0 && x < 1, expected: 'a number of at least 0, below 1' },
  { field: 'repetitionPenalty', holds: (x) => x > 0 && x <= 100, expected: 'a number above 0, at most 100' },
  { field: 'frequencyPenalty', holds: isBetween(-2, 2), expected: 'a number from -2 to 2' },
  { field: 'presencePenalty', holds: isBetween(-2, 2), expected: 'a number from -2 to 2' },
  { field: 'repeatLastN', holds: isWindow, expected: 'an integer of at least -1' },
  { field: 'dryMultiplier', holds: isBetween(0, 100), expected: 'a number from 0 to 100' },
  { field: 'dryBase', holds: isBetween(1, 100), expected: 'a number from 1 to 100' },
  { field: 'dryAllowedLength', holds: isCount(2 ** 31), expected: 'an integer of at least 0' },
  { field: 'dryPenaltyLastN', holds: isWindow, expected: 'an integer of at least -1' },
  { field: 'dynatempRange', holds: isBetween(0, 100), expected: 'a number from 0 to 100' },
  { field: 'dynatempExponent', holds: isBetween(0, 100), expected: 'a number from 0 to 100' },
  { field: 'topNSigma', holds: isBetween(0, 1e6), expected: 'a number of at least 0' },
  { field: 'typicalP', holds: (x) => x > 0 && x <= 1, expected: 'a number above 0, at most 1' },
  { field: 'xtcProbability', holds: isBetween(0, 1), expected: 'a number from 0 to 1' },
  { field: 'xtcThreshold', holds: (x) => x > 0 && x <= 1, expected: 'a number above 0, at most 1' },
  { field: 'mirostat', holds: isCount(2), expected: '0, 1 or 2' },
  { field: 'mirostatTau', holds: isBetween(0, 100), expected: 'a number from 0 to 100' },
  { field: 'mirostatEta', holds: isBetween(0, 100), expected: 'a number from 0 to 100' },
  { field: 'seed', holds: isCount(Number.MAX_SAFE_INTEGER), expected: 'an integer from 0 to 2^53 - 1' },
  {
    field: 'topLogprobs',
    holds: (x) => x === -1 || isCount(MAX_TOP_LOGPROBS)(x),
    expected: `an integer from 0 to ${MAX_TOP_LOGPROBS}`,
  },
];

function isCount(most: number): (x: number) => boolean {
  return (x) => Number.isInteger(x) && x >= 0 && x <= most;
}

function isWindow(x: number): boolean {
  return Number.isInteger(x) && x >= -1 && x <= 2 ** 31;
}

/** A value as an error message shows it: short, whatever it is. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object';
  return String(value);
}

function checkBias(pairs: SamplingSettings['logitBias'], vocabSize: number): void {
  if (pairs.length > MAX_LOGIT_BIAS) {
    throw new InvalidOptionError('logit_bias', `has ${pairs.length} entries, at most ${MAX_LOGIT_BIAS} are possible`);
  }
  const seen = new Set<number>();
  for (const [token, bias] of pairs) {
    if (!Number.isSafeInteger(token) || token < 0) {
      throw new InvalidOptionError('logit_bias', `expected token ids as keys, got ${show(token)}`);
    }
    if (token >= vocabSize) {
      throw new InvalidOptionError('logit_bias', `token ${token} is outside of the vocabulary of ${vocabSize}`);
    }
    if (seen.has(token)) throw new InvalidOptionError('logit_bias', `token ${token} occurs twice`);
    seen.add(token);
    if (typeof bias !== 'number' || Number.isNaN(bias) || bias === Number.POSITIVE_INFINITY) {
      throw new InvalidOptionError(
        'logit_bias',
        `token ${token}: expected a finite number or -Infinity, got ${show(bias)}`,
      );
    }
  }
}

const MAX_BREAKERS = 64;
const MAX_BREAKER_LENGTH = 40;

function checkBreakers(breakers: unknown): void {
  const field = FIELD_NAMES.drySequenceBreakers;
  if (!Array.isArray(breakers))
    throw new InvalidOptionError(field, `expected a list of strings, got ${show(breakers)}`);
  if (breakers.length > MAX_BREAKERS) {
    throw new InvalidOptionError(field, `has ${breakers.length} strings, at most ${MAX_BREAKERS} are possible`);
  }
  for (const breaker of breakers as readonly unknown[]) {
    if (typeof breaker !== 'string' || breaker === '' || breaker.length > MAX_BREAKER_LENGTH) {
      throw new InvalidOptionError(
        field,
        `expected strings of 1 to ${MAX_BREAKER_LENGTH} characters, got ${show(breaker)}`,
      );
    }
  }
}

function isSampler(name: unknown): name is SamplerName {
  return (SAMPLERS as readonly unknown[]).includes(name);
}

function checkSamplers(samplers: unknown): void {
  if (!Array.isArray(samplers)) throw new InvalidOptionError('samplers', `expected a list, got ${show(samplers)}`);
  samplers.forEach((name: unknown, i) => {
    if (!isSampler(name)) {
      throw new InvalidOptionError('samplers', `${show(name)} is none; there are ${SAMPLERS.join(', ')}`);
    }
    if (samplers.indexOf(name) < i) throw new InvalidOptionError('samplers', `"${name}" is listed twice`);
  });
}

/** The option that a sampler is switched on with. */
const SWITCHES: Readonly<Record<SamplerName, string>> = {
  penalties: 'a penalty',
  dry: 'dry_multiplier',
  top_n_sigma: 'top_n_sigma',
  top_k: 'top_k',
  typ_p: 'typical_p',
  top_p: 'top_p',
  min_p: 'min_p',
  xtc: 'xtc_probability',
  temperature: 'temperature',
};

/** What mirostat can be combined with: whatever drops no tokens. */
const KEEPS_ALL: readonly SamplerName[] = ['penalties', 'dry', 'temperature'];

/** Settings that are right each for itself and contradict each other. */
function checkTogether(s: SamplingSettings): void {
  const unlisted = SAMPLERS.find((sampler) => isActive(sampler, s) && !s.samplers.includes(sampler));
  if (unlisted) {
    throw new InvalidOptionError('samplers', `${SWITCHES[unlisted]} is set, and "${unlisted}" is not in the list`);
  }
  if (s.dynatempRange > 0 && s.temperature === 0) {
    throw new InvalidOptionError('dynatemp_range', 'needs a temperature above 0: with 0 the likeliest token is taken');
  }
  if (s.mirostat === 0) return;
  if (s.temperature === 0) {
    throw new InvalidOptionError('mirostat', 'needs a temperature above 0: with 0 the likeliest token is taken');
  }
  const other = SAMPLERS.find((sampler) => isActive(sampler, s) && !KEEPS_ALL.includes(sampler));
  if (other) {
    throw new InvalidOptionError(
      'mirostat',
      `decides itself which tokens are kept: not together with ${SWITCHES[other]}`,
    );
  }
}

function randomSeed(): number {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 11) * 2 ** 32 + low;
}

/**
 * Fills absent settings from the defaults and checks every value. Without a seed of its own a request that samples gets a random one.
 * Throws InvalidOptionError that names the field in OpenAI's spelling.
 */
export function resolveSampling(
  partial: Partial<SamplingSettings>,
  { defaults = GREEDY, vocabSize = Number.POSITIVE_INFINITY }: SamplingContext = {},
): SamplingSettings {
  const given = Object.fromEntries(Object.entries(partial).filter(([, value]) => value !== undefined));
  const settings: SamplingSettings = { ...defaults, ...given };
  for (const { field, holds, expected } of RULES) {
    const value: unknown = settings[field];
    if (typeof value !== 'number' || !holds(value)) {
      throw new InvalidOptionError(FIELD_NAMES[field], `expected ${expected}, got ${show(value)}`);
    }
  }
  checkBias(settings.logitBias, vocabSize);
  checkBreakers(settings.drySequenceBreakers);
  checkSamplers(settings.samplers);
  checkTogether(settings);
  const draws = settings.temperature > 0 || settings.xtcProbability > 0;
  return partial.seed === undefined && draws ? { ...settings, seed: randomSeed() } : settings;
}

function parseBias(value: unknown): SamplingSettings['logitBias'] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidOptionError('logit_bias', `expected an object of token id → bias, got ${show(value)}`);
  }
  return Object.entries(value).map(([key, bias]) => {
    if (!/^(0|[1-9]\d{0,9})$/.test(key)) {
      throw new InvalidOptionError('logit_bias', `expected token ids as keys, got ${show(key)}`);
    }
    return [Number(key), bias as number] as const;
  });
}

function parseTopLogprobs(logprobs: unknown, top: unknown): number | undefined {
  if (logprobs !== undefined && typeof logprobs !== 'boolean') {
    throw new InvalidOptionError('logprobs', `expected true or false, got ${show(logprobs)}`);
  }
  if (top === undefined) return logprobs === undefined ? undefined : logprobs ? 0 : -1;
  if (logprobs === false) throw new InvalidOptionError('top_logprobs', 'needs logprobs to be true');
  // -1 is the inner spelling of "off" and not an option's value.
  if (top === -1)
    throw new InvalidOptionError('top_logprobs', `expected an integer from 0 to ${MAX_TOP_LOGPROBS}, got -1`);
  return top as number;
}

/**
 * Reads the sampling options of a request, in OpenAI's spelling (SAMPLING_FIELDS); null and undefined mean absent.
 * Throws InvalidOptionError that names the field: an unknown one, one of another type, or one out of range.
 */
export function parseSampling(input: Record<string, unknown>, context: SamplingContext = {}): SamplingSettings {
  const given = new Map(Object.entries(input).filter(([, value]) => value !== undefined && value !== null));
  for (const field of given.keys()) {
    if (!SAMPLING_FIELDS.includes(field)) {
      throw new InvalidOptionError(field, `is not a sampling option; known are ${SAMPLING_FIELDS.join(', ')}`);
    }
  }
  const partial: Record<string, unknown> = {};
  for (const [field, name] of Object.entries(FIELD_NAMES)) partial[field] = given.get(name);
  partial['topLogprobs'] = parseTopLogprobs(given.get('logprobs'), given.get('top_logprobs'));
  partial['logitBias'] = given.has('logit_bias') ? parseBias(given.get('logit_bias')) : undefined;
  return resolveSampling(partial as Partial<SamplingSettings>, context);
}
