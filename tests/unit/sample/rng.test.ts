import { describe, expect, it } from 'vitest';
import { philox, uniformAt } from '../../../src/ops/sample/rng';

describe('philox', () => {
  // Known answers of the authors' Random123 distribution, philox4x32 with 10 rounds.
  it.each([
    { counter: [0, 0, 0, 0], key: [0, 0], words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
    {
      counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      key: [0xffffffff, 0xffffffff],
      words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    },
    {
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      key: [0xa4093822, 0x299f31d0],
      words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ] as const)('gives the published words for counter $counter', ({ counter, key, words }) => {
    expect(philox(counter, key)).toEqual(words);
  });
});

describe('uniformAt', () => {
  it('lies in [0, 1) and is uniform over positions (chi-squared, 64 buckets)', () => {
    const buckets = new Uint32Array(64);
    const draws = 64_000;
    for (let position = 0; position < draws; position++) {
      const u = uniformAt(20260117, position, 0);
      expect(u >= 0 && u < 1).toBe(true);
      buckets[Math.floor(u * 64)]++;
    }
    const expected = draws / 64;
    const chiSquared = buckets.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    // 63 degrees of freedom: above 113 once in ten thousand.
    expect(chiSquared).toBeLessThan(113);
  });

  it('depends on every bit of seed, position and stream', () => {
    const base = uniformAt(5, 9, 0);
    expect(uniformAt(5, 9, 0)).toBe(base);
    const others = [
      uniformAt(5 + 2 ** 52, 9, 0),
      uniformAt(5 + 2 ** 31, 9, 0),
      uniformAt(5, 10, 0),
      uniformAt(5, 9, 1),
    ];
    expect(new Set([base, ...others]).size).toBe(5);
  });
});
