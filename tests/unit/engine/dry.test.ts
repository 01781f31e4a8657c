import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { dryPenalties } from '../../../src/engine/dry';
import { GREEDY, MAX_DRY_PENALTIES } from '../../../src/engine/runner';

interface LlamaCase {
  readonly tokens: readonly number[];
  readonly multiplier: number;
  readonly base: number;
  readonly allowedLength: number;
  readonly lastN: number;
  readonly breakers: readonly (readonly number[])[];
  readonly penalties: readonly (readonly [token: number, penalty: number])[];
}

/** What llama.cpp's own sampler does (scripts/oracle/samplers.cpp). */
const { dry: CASES } = JSON.parse(
  readFileSync(new URL('../../fixtures/samplers/llama_cpp.json', import.meta.url), 'utf8'),
) as { readonly dry: readonly LlamaCase[] };

function breakersOf(sequences: readonly (readonly number[])[]): Map<number, (readonly number[])[]> {
  const breakers = new Map<number, (readonly number[])[]>();
  for (const [head, ...tail] of sequences) breakers.set(head, [...(breakers.get(head) ?? []), tail]);
  return breakers;
}

const settings = { ...GREEDY, dryMultiplier: 1, dryBase: 2, dryAllowedLength: 2 };

describe('DRY', () => {
  it.each(CASES)('lowers what llama.cpp lowers after $tokens', (given) => {
    const { tokens, multiplier, base, allowedLength, lastN, breakers, penalties } = given;
    const own = dryPenalties(
      tokens,
      {
        ...GREEDY,
        dryMultiplier: multiplier,
        dryBase: base,
        dryAllowedLength: allowedLength,
        dryPenaltyLastN: lastN,
      },
      breakersOf(breakers),
    ).toSorted(([a], [b]) => a - b);
    expect(own.map(([token]) => token)).toEqual(penalties.map(([token]) => token));
    own.forEach(([, penalty], i) => {
      expect(penalty).toBeCloseTo(penalties[i][1], 4);
    });
  });

  it('grows with the repetition and stops at a breaker', () => {
    const tokens = [1, 2, 3, 4, 9, 1, 2, 3];
    expect(dryPenalties(tokens, settings, new Map())).toEqual([[4, 2]]);
    expect(dryPenalties(tokens, settings, breakersOf([[1]]))).toEqual([[4, 1]]);
    expect(dryPenalties(tokens, settings, breakersOf([[2]]))).toEqual([]);
    expect(dryPenalties(tokens, settings, breakersOf([[4]]))).toEqual([]);
    expect(dryPenalties(tokens, { ...settings, dryPenaltyLastN: 6 }, new Map())).toEqual([]);
  });

  it('keeps to finite penalties and to the longest repetitions', () => {
    const same = Array.from({ length: 3000 }, () => 7);
    const [[token, penalty]] = dryPenalties(same, { ...settings, dryBase: 100 }, new Map());
    expect(token).toBe(7);
    expect(penalty).toBeGreaterThan(1e30);
    expect(Number.isFinite(penalty)).toBe(true);
    const many = Array.from({ length: 3000 }, (_, i) => (i % 2 ? i : 1));
    const found = dryPenalties([...many, 5, 1], { ...settings, dryAllowedLength: 1 }, new Map());
    expect(found).toHaveLength(MAX_DRY_PENALTIES);
    expect(found[0]).toEqual([7, 2]);
  });
});
