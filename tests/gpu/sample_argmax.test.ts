import { describe, expect, it } from 'vitest';
import { GREEDY } from '../../src/engine/runner';
import { normals, seededRandom } from '../../src/model/random';
import { argmax } from '../../src/ops/argmax';
import { rowAt, SamplerHarness } from './sample_harness';
import { BARE, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);

describe('argmax', () => {
  const device = withDevice(BARE);

  async function greedy(rows: readonly Float32Array[]) {
    const vocab = rows[0].length;
    const harness = await SamplerHarness.create(await device(), vocab, rows.length);
    const logits = new Float32Array(rows.length * vocab);
    rows.forEach((row, i) => {
      logits.set(row, i * vocab);
    });
    const { samples, lastTokens, counts } = await harness.run({
      logits,
      segments: rows.map((_, i) => rowAt(rows.length - 1 - i, i, GREEDY)),
    });
    harness.dispose();
    expect(counts.every((count) => count === 0)).toBe(true);
    for (const { logprob, top } of samples) expect({ logprob, top }).toEqual({ logprob: Number.NaN, top: [] });
    return {
      tokens: samples.map(({ token }) => token),
      noChance: samples.map(({ noChance = false }) => noChance),
      lastTokens: [...lastTokens].reverse(),
    };
  }

  it.each([1, 31, 512, 2048, 2049, 32000, 50257, 128256])('finds the best of %i', async (vocab) => {
    const random = seededRandom(SEED + vocab);
    const rows = Array.from({ length: vocab > 100_000 ? 1 : 3 }, () => normals(vocab, random).map((x) => x * 5));
    // The best as the very first and the very last token.
    rows[0][vocab - 1] = 100;
    if (rows.length > 1) rows[1][0] = 100;
    const { tokens, lastTokens } = await greedy(rows);
    expect(tokens, `seed ${SEED}`).toEqual(rows.map(argmax));
    expect(lastTokens).toEqual(tokens);
  });

  it('gives ties to the lowest id, within and across slices and lanes', async () => {
    const vocab = 3 * 2048 + 5;
    const tied = [
      [2047, 2048],
      [2048, 4096, vocab - 1],
      [255, 256, 511],
      [0, vocab - 1],
      [1000, 1001, 744],
    ];
    const rows = tied.map((ids) => {
      const row = normals(vocab, seededRandom(SEED)).map((x) => Math.min(x, 4));
      for (const id of ids) row[id] = 7;
      return row;
    });
    const { tokens } = await greedy(rows);
    expect(tokens).toEqual(tied.map((ids) => Math.min(...ids)));
  });

  it('is never won by what is not a number', async () => {
    const vocab = 2500;
    const fill = (at: (t: number) => number) => Float32Array.from({ length: vocab }, (_, t) => at(t));
    const { tokens, noChance } = await greedy([
      fill(() => Number.NaN),
      fill(() => Number.NEGATIVE_INFINITY),
      fill((t) => (t === 2300 ? -1e38 : t % 2 ? Number.NaN : Number.NEGATIVE_INFINITY)),
      fill((t) => (t === 9 || t === 2400 ? Number.POSITIVE_INFINITY : Number.NaN)),
      fill((t) => (t % 2 ? -0 : 0)),
    ]);
    expect(tokens).toEqual([0, 0, 2300, 9, 0]);
    // And a row without a number says so.
    expect(noChance).toEqual([true, true, false, false, false]);
  });

  it('samples after every row of a verified segment and keeps the last as the slot’s token', async () => {
    const vocab = 40;
    const harness = await SamplerHarness.create(await device(), vocab, 4, 2);
    const best = [3, 39, 11, 20];
    const logits = new Float32Array(4 * vocab);
    best.forEach((token, row) => {
      logits[row * vocab + token] = 1;
    });
    const verified = { ...rowAt(1, 5, GREEDY), tokens: [4, 5, 6], sample: 'all' } as const;
    const prompt = { ...rowAt(0, 0, GREEDY), tokens: [1, 2, 3, 4], sample: 'last' } as const;
    const result = await harness.run({ logits, segments: [verified, prompt] });
    harness.dispose();
    expect(result.samples.map(({ token }) => token)).toEqual(best);
    expect([...result.lastTokens]).toEqual([20, 11]);
  });
});
