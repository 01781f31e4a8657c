import { describe, expect, it } from 'vitest';
import { GREEDY, SAMPLERS } from '../../../src/engine/runner';
import { parseSampling, resolveSampling } from '../../../src/engine/sampling';
import { InvalidOptionError } from '../../../src/errors';

function fieldOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidOptionError) return error.field;
    throw error;
  }
  return 'accepted';
}

describe('parseSampling', () => {
  it('reads every option in OpenAI spelling', () => {
    const settings = parseSampling({
      temperature: 0.7,
      top_k: 40,
      top_p: 0.9,
      min_p: 0.05,
      repetition_penalty: 1.1,
      frequency_penalty: -2,
      presence_penalty: 2,
      logit_bias: { 50256: -100, 0: Number.NEGATIVE_INFINITY },
      seed: 2 ** 53 - 1,
      logprobs: true,
      top_logprobs: 5,
      typical_p: 0.9,
      top_n_sigma: 1.5,
      xtc_probability: 0.5,
      xtc_threshold: 0.2,
      dynatemp_range: 0.3,
      dynatemp_exponent: 2,
      repeat_last_n: 64,
      dry_multiplier: 0.8,
      dry_base: 1.5,
      dry_allowed_length: 3,
      dry_penalty_last_n: 100,
      dry_sequence_breakers: ['.'],
      mirostat: 0,
      mirostat_tau: 4,
      mirostat_eta: 0.2,
      samplers: ['temperature', ...SAMPLERS.filter((name) => name !== 'temperature')],
    });
    expect(settings).toEqual({
      typicalP: 0.9,
      topNSigma: 1.5,
      xtcProbability: 0.5,
      xtcThreshold: 0.2,
      dynatempRange: 0.3,
      dynatempExponent: 2,
      repeatLastN: 64,
      dryMultiplier: 0.8,
      dryBase: 1.5,
      dryAllowedLength: 3,
      dryPenaltyLastN: 100,
      drySequenceBreakers: ['.'],
      mirostat: 0,
      mirostatTau: 4,
      mirostatEta: 0.2,
      samplers: ['temperature', 'penalties', 'dry', 'top_n_sigma', 'top_k', 'typ_p', 'top_p', 'min_p', 'xtc'],
      temperature: 0.7,
      topK: 40,
      topP: 0.9,
      minP: 0.05,
      repetitionPenalty: 1.1,
      frequencyPenalty: -2,
      presencePenalty: 2,
      logitBias: [
        [0, Number.NEGATIVE_INFINITY],
        [50256, -100],
      ],
      seed: 2 ** 53 - 1,
      topLogprobs: 5,
    });
  });

  it('is greedy when nothing is asked for; null and undefined are nothing', () => {
    expect(parseSampling({})).toEqual(GREEDY);
    expect(parseSampling({ temperature: null, seed: undefined, logit_bias: null })).toEqual(GREEDY);
  });

  it('takes absent options from the defaults', () => {
    const defaults = { ...GREEDY, temperature: 0.6, topK: 20, seed: 4 };
    expect(parseSampling({ top_k: 0 }, { defaults })).toMatchObject({ temperature: 0.6, topK: 0 });
  });

  it('draws a seed when sampling without one', () => {
    const seeds = Array.from({ length: 8 }, () => parseSampling({ temperature: 1 }).seed);
    expect(new Set(seeds).size).toBe(8);
    for (const seed of seeds) expect(Number.isSafeInteger(seed) && seed >= 0).toBe(true);
    expect(parseSampling({ temperature: 1, seed: 0 }).seed).toBe(0);
  });

  it('reports the chosen token alone for logprobs without top_logprobs', () => {
    expect(parseSampling({ logprobs: true }).topLogprobs).toBe(0);
    expect(parseSampling({ logprobs: false }).topLogprobs).toBe(-1);
    expect(parseSampling({ top_logprobs: 3 }).topLogprobs).toBe(3);
  });

  it.each([
    ['temperature', [-0.1, 100.5, Number.NaN, Number.POSITIVE_INFINITY, '1', true, {}]],
    ['top_k', [-1, 1.5, '40', Number.NaN]],
    ['top_p', [0, 1.01, -1, Number.NaN, []]],
    ['min_p', [-0.1, 1, Number.NaN]],
    ['repetition_penalty', [0, -1, 101, Number.NaN]],
    ['frequency_penalty', [-2.1, 2.1, '0']],
    ['presence_penalty', [-2.1, 2.1, Number.NaN]],
    ['seed', [-1, 0.5, 2 ** 53, Number.NaN, 'x']],
    ['top_logprobs', [-1, 21, 1.5, '3']],
    ['logprobs', [1, 'true']],
    [
      'logit_bias',
      [
        [],
        'x',
        3,
        { a: 1 },
        { '-1': 1 },
        { '01': 1 },
        { 5: Number.NaN },
        { 5: Number.POSITIVE_INFINITY },
        { 5: '1' },
        Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 1])),
      ],
    ],
    ['typical_p', [0, 1.1, 'x']],
    ['top_n_sigma', [-1, Number.POSITIVE_INFINITY]],
    ['xtc_probability', [-0.1, 1.1]],
    ['xtc_threshold', [0, 1.1]],
    ['dynatemp_range', [-1, '1']],
    ['dynatemp_exponent', [-1]],
    ['repeat_last_n', [-2, 1.5]],
    ['dry_multiplier', [-1]],
    ['dry_base', [0.9]],
    ['dry_allowed_length', [-1, 0.5]],
    ['dry_penalty_last_n', [-2]],
    ['dry_sequence_breakers', ['.', [''], [1], ['x'.repeat(41)], Array.from({ length: 65 }, () => 'x')]],
    ['mirostat', [3, -1, 0.5, true]],
    ['mirostat_tau', [-1]],
    ['mirostat_eta', [-1]],
    ['samplers', ['top_k', ['top_q'], ['top_k', 'top_k'], [1]]],
    ['best_of', [1]],
    ['topK', [1]],
    ['__proto__x', [1]],
  ])('names %s when it is bad', (field, values) => {
    for (const value of values) expect(fieldOf(() => parseSampling({ [field]: value }))).toBe(field);
  });

  it('refuses top_logprobs without logprobs and tokens that the model does not have', () => {
    expect(fieldOf(() => parseSampling({ logprobs: false, top_logprobs: 2 }))).toBe('top_logprobs');
    expect(fieldOf(() => parseSampling({ logit_bias: { 32000: 1 } }, { vocabSize: 32000 }))).toBe('logit_bias');
    expect(parseSampling({ logit_bias: { 31999: 1 } }, { vocabSize: 32000 }).logitBias).toEqual([[31999, 1]]);
  });

  it.each([
    ['samplers', { top_k: 5, samplers: ['temperature'] }],
    ['samplers', { temperature: 0.5, samplers: ['top_k'] }],
    ['samplers', { dry_multiplier: 1, samplers: [] }],
    ['dynatemp_range', { temperature: 0, dynatemp_range: 0.5 }],
    ['mirostat', { temperature: 0, mirostat: 2 }],
    ['mirostat', { temperature: 1, mirostat: 1, top_k: 5 }],
    ['mirostat', { temperature: 1, mirostat: 2, xtc_probability: 0.5 }],
  ])('names %s when options contradict each other: %j', (field, options) => {
    expect(fieldOf(() => parseSampling(options))).toBe(field);
  });
});

describe('resolveSampling', () => {
  it('checks settings and names the public field', () => {
    expect(resolveSampling({ temperature: 0, topP: 1 })).toEqual(GREEDY);
    expect(fieldOf(() => resolveSampling({ topP: 2 }))).toBe('top_p');
    expect(
      fieldOf(() =>
        resolveSampling({
          logitBias: [
            [1, 1],
            [1, 2],
          ],
        }),
      ),
    ).toBe('logit_bias');
  });
});
