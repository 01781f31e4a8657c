import { describe, expect, it } from 'vitest';
import { GREEDY, type SamplingSettings } from '../../src/engine/runner';
import { normals, seededRandom } from '../../src/model/random';
import { IN_PROMPT } from '../../src/ops/sample/record';
import { chooseToken, logSoftmax, topLogprobs } from '../../src/ops/sample/reference';
import { STREAM, uniformAt } from '../../src/ops/sample/rng';
import { rowAt, SamplerHarness } from './sample_harness';
import { BARE, withDevice } from './variants';

/** Closer to a border than this, f32 may choose the neighbour. */
const ROUNDING = 1e-5;
const SEED = Math.floor(Math.random() * 2 ** 31);

/** Of most cases: the pipeline is compiled for it once. */
const VOCAB = 1003;

const penalties = { repetitionPenalty: 1.4, frequencyPenalty: 0.6, presencePenalty: 0.3 };

const SETTINGS: readonly Partial<SamplingSettings>[] = [
  { temperature: 1 },
  { temperature: 0.2 },
  { temperature: 100 },
  { temperature: 1e-3 },
  { temperature: 1, topK: 1 },
  { temperature: 2, topK: 7 },
  { temperature: 1, topK: 333 },
  { temperature: 1, topK: 1e9 },
  { temperature: 1, topP: 0.05 },
  { temperature: 1.3, topP: 0.9 },
  { temperature: 3, topP: 0.9999 },
  { temperature: 2, minP: 0.1 },
  { temperature: 1, minP: 0.999 },
  { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05 },
  { temperature: 4, topK: 400, topP: 0.6, minP: 0.001 },
  { ...penalties },
  { ...penalties, temperature: 0.9, topP: 0.8 },
  { repetitionPenalty: 0.5, frequencyPenalty: -1, temperature: 1, topK: 50 },
];

describe('sampled tokens', () => {
  const device = withDevice(BARE);

  /** One row per settings; compares every row whose outcome does not hang on rounding and counts those. */
  async function compare(
    logitsOf: (vocab: number, row: number) => Float32Array,
    vocab: number,
    settings: readonly Partial<SamplingSettings>[],
    seed: number,
  ): Promise<number> {
    const random = seededRandom(seed);
    const rows = settings.length;
    const counts = Uint32Array.from({ length: rows * vocab }, () => {
      const seen = random();
      return seen > 0.4 ? 0 : (seen < 0.2 ? IN_PROMPT : 0) + (seen > 0.1 ? Math.floor(1 + random() * 3) : 0);
    });
    const logits = new Float32Array(rows * vocab);
    for (let row = 0; row < rows; row++) logits.set(logitsOf(vocab, row), row * vocab);
    const segments = settings.map((partial, row) => {
      const sampling = { ...GREEDY, ...partial, seed: Math.floor(random() * 2 ** 53) };
      // Slots in another order than rows.
      return rowAt(rows - 1 - row, Math.floor(random() * 8000), sampling);
    });
    const harness = await SamplerHarness.create(await device(), vocab, rows);
    try {
      const result = await harness.run({ segments, logits, counts });
      let decided = 0;
      segments.forEach(({ slot, sampling, position }, row) => {
        const own = logits.subarray(row * vocab, (row + 1) * vocab);
        const state = { counts: counts.subarray(slot * vocab, (slot + 1) * vocab), bias: sampling.logitBias };
        const choice = chooseToken(own, sampling, state, uniformAt(sampling.seed, position, STREAM.token));
        const { token } = result.samples[row];
        if (choice.margin > ROUNDING) {
          decided++;
          expect(token, `seed ${seed}, ${JSON.stringify(settings[row])}, margin ${choice.margin}`).toBe(choice.token);
        }
        expect(result.lastTokens[slot]).toBe(token);
        counts[slot * vocab + token]++;
      });
      expect(result.counts).toEqual(counts);
      return decided;
    } finally {
      harness.dispose();
    }
  }

  /** Draws inputs anew, in the rare case that most outcomes hang on rounding, until so many rows were compared. */
  async function compareAtLeast(least: number, ...[logitsOf, vocab, settings, seed]: Parameters<typeof compare>) {
    let decided = 0;
    for (let turn = 0; turn < 5 && decided < least; turn++) {
      decided += await compare(logitsOf, vocab, settings, seed + turn);
    }
    expect(decided).toBeGreaterThanOrEqual(least);
  }

  it.each([1, 12, VOCAB])('are the reference’s at a vocabulary of %i', async (vocab) => {
    const random = seededRandom(SEED + vocab);
    const spread = 1 + random() * 6;
    const logitsOf = () => normals(vocab, random).map((x) => x * spread);
    await compareAtLeast(SETTINGS.length * 0.6, logitsOf, vocab, SETTINGS, SEED + vocab);
  });

  it('are the reference’s at a vocabulary of 128256', async () => {
    const random = seededRandom(SEED);
    const some = [SETTINGS[0], SETTINGS[9], SETTINGS[13], SETTINGS[14], SETTINGS[16]];
    await compareAtLeast(3, (vocab) => normals(vocab, random).map((x) => x * 3), 128256, some, SEED);
  });

  it.each([
    { what: 'all equal', logitAt: () => 2.5 },
    { what: 'two values', logitAt: (t: number) => (t % 5 === 2 ? 1 : 0) },
    { what: 'one huge', logitAt: (t: number) => (t === 777 ? 500 : -(t % 7)) },
    { what: '±1e30', logitAt: (t: number) => (t % 2 ? 1e30 : -1e30) },
    { what: 'infinite and not numbers', logitAt: (t: number) => [Number.NaN, -1, Number.NEGATIVE_INFINITY, -2][t % 4] },
    { what: 'several +Infinity', logitAt: (t: number) => (t % 300 === 1 ? Number.POSITIVE_INFINITY : t % 11) },
    { what: '-Infinity alone', logitAt: () => Number.NEGATIVE_INFINITY },
    { what: 'negative zeros', logitAt: (t: number) => (t % 2 ? -0 : 0) },
  ])('are the reference’s for logits that are $what', async ({ logitAt }) => {
    // Whole numbers of equal tokens make top-p's border exact: odd targets stay clear of it.
    const settings = SETTINGS.filter((s) => s.repetitionPenalty === undefined).concat({
      temperature: 1,
      topP: 0.33337,
    });
    const decided = await compare(
      (vocab) => Float32Array.from({ length: vocab }, (_, t) => logitAt(t)),
      1003,
      settings,
      SEED,
    );
    expect(decided).toBeGreaterThan(settings.length / 2);
  });

  it('keep the lowest ids of ties at the k-th place', async () => {
    const vocab = VOCAB;
    const rows = 40;
    const harness = await SamplerHarness.create(await device(), vocab, rows);
    // 225 tokens tie for the best; k cuts them at id 4 · 119.
    const row = Float32Array.from({ length: vocab }, (_, t) => (t % 4 === 0 && t < 900 ? 3 : 2));
    const logits = new Float32Array(rows * vocab);
    for (let i = 0; i < rows; i++) logits.set(row, i * vocab);
    const sampling = { ...GREEDY, temperature: 1, topK: 120, seed: SEED };
    const { samples } = await harness.run({
      logits,
      segments: Array.from({ length: rows }, (_, i) => rowAt(i, 10 + i, sampling)),
    });
    harness.dispose();
    const tokens = samples.map(({ token }) => token);
    expect(tokens.every((token) => token % 4 === 0 && token < 480)).toBe(true);
    expect(new Set(tokens).size).toBeGreaterThan(10);
  });

  it.each([
    {
      what: 'repetition, positive',
      settings: { repetitionPenalty: 2 },
      seen: IN_PROMPT,
      logits: [3, 1.6, 1],
      token: 1,
    },
    { what: 'repetition, negative', settings: { repetitionPenalty: 2 }, seen: 1, logits: [-1, -1.9, -3], token: 1 },
    { what: 'frequency', settings: { frequencyPenalty: 0.5 }, seen: 3, logits: [2, 0.6, 0.4], token: 1 },
    {
      what: 'frequency, not of the prompt',
      settings: { frequencyPenalty: 2 },
      seen: IN_PROMPT,
      logits: [2, 1, 0],
      token: 0,
    },
    { what: 'presence, once', settings: { presencePenalty: 1 }, seen: 5, logits: [2, 0.9, 1.1], token: 2 },
    {
      what: 'repetition, then presence',
      settings: { repetitionPenalty: 4, presencePenalty: 1 },
      seen: 1,
      logits: [8, 0.9, 0.5],
      token: 0,
    },
  ])('obey the penalty: $what', async ({ settings, seen, logits, token }) => {
    const harness = await SamplerHarness.create(await device(), 12, 1);
    const row = new Float32Array(12).fill(-50);
    row.set(logits);
    const counts = new Uint32Array(12);
    counts[0] = seen;
    const { samples } = await harness.run({ logits: row, counts, segments: [rowAt(0, 3, { ...GREEDY, ...settings })] });
    harness.dispose();
    expect(samples[0].token).toBe(token);
  });

  it('honour biases: a ban, a push, and one on a banned logit', async () => {
    const vocab = VOCAB;
    const harness = await SamplerHarness.create(await device(), vocab, 3);
    const row = Float32Array.from({ length: vocab }, (_, t) => (t === 7 ? Number.NEGATIVE_INFINITY : t === 9 ? 30 : 0));
    const logits = Float32Array.from([...row, ...row, ...row]);
    const biases = [
      [
        [9, Number.NEGATIVE_INFINITY],
        [200, 0.5],
      ],
      [[8, 100]],
      [
        [7, 1000],
        [9, -29],
      ],
    ] as const;
    const { samples } = await harness.run({
      logits,
      segments: biases.map((logitBias, i) => rowAt(i, 4, { ...GREEDY, logitBias, temperature: i === 1 ? 0.5 : 0 })),
    });
    harness.dispose();
    expect(samples.map(({ token }) => token)).toEqual([200, 8, 9]);
  });

  it('carry log-probabilities of the unchanged model distribution', async () => {
    const vocab = VOCAB;
    const random = seededRandom(SEED + 3);
    const settings: Partial<SamplingSettings>[] = [
      { topLogprobs: 0 },
      { topLogprobs: 20 },
      { topLogprobs: 5, temperature: 1, topK: 100, topP: 0.9 },
      { topLogprobs: 3, ...penalties, logitBias: [[5, Number.NEGATIVE_INFINITY]] },
      { temperature: 1 },
    ];
    const rows = settings.length;
    const logits = normals(rows * vocab, random).map((x) => x * 4);
    logits[vocab + 900] = logits[vocab + 3] = logits[vocab + 1000] = 40;
    const harness = await SamplerHarness.create(await device(), vocab, rows);
    const { samples } = await harness.run({
      logits,
      segments: settings.map((partial, i) => rowAt(i, i, { ...GREEDY, ...partial })),
      counts: new Uint32Array(rows * vocab).fill(2),
    });
    harness.dispose();
    samples.forEach(({ token, logprob, top }, i) => {
      const wanted = settings[i].topLogprobs ?? -1;
      const own = logits.subarray(i * vocab, (i + 1) * vocab);
      const logprobs = logSoftmax(own);
      if (wanted < 0) {
        expect(logprob).toBeNaN();
      } else {
        expect(Math.abs(logprob - logprobs[token])).toBeLessThan(1e-5);
      }
      const expected = topLogprobs(own, logprobs, Math.max(0, wanted));
      expect(top.map(([id]) => id)).toEqual(expected.map(([id]) => id));
      top.forEach(([, value], place) => {
        expect(Math.abs(value - expected[place][1])).toBeLessThan(1e-5);
      });
    });
    expect(samples[1].top.slice(0, 3).map(([id]) => id)).toEqual([3, 900, 1000]);
  });

  it('report every token of a vocabulary that is smaller than asked for', async () => {
    const harness = await SamplerHarness.create(await device(), 12, 1);
    const { samples } = await harness.run({
      logits: Float32Array.from({ length: 12 }, (_, t) => (t * 5) % 12),
      segments: [rowAt(0, 0, { ...GREEDY, topLogprobs: 20 })],
    });
    harness.dispose();
    expect(samples[0].top.map(([id]) => (id * 5) % 12)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
    expect(samples[0].top.reduce((sum, [, logprob]) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 6);
  });

  it('repeat with the seed and position, whoever shares the step, and differ with either', async () => {
    const vocab = VOCAB;
    const row = normals(vocab, seededRandom(SEED));
    const sampling = { ...GREEDY, temperature: 1, seed: SEED };
    const alone = await SamplerHarness.create(await device(), vocab, 1);
    const shared = await SamplerHarness.create(await device(), vocab, 4);
    const first = await alone.run({ logits: row, segments: [rowAt(0, 77, sampling)] });
    const others = await shared.run({
      logits: Float32Array.from([...row, ...row, ...row, ...row]),
      segments: [
        rowAt(2, 78, sampling),
        rowAt(3, 77, { ...sampling, seed: SEED + 1 }),
        rowAt(1, 77, { ...sampling, seed: SEED + 2 ** 40 }),
        rowAt(0, 77, sampling),
      ],
    });
    alone.dispose();
    shared.dispose();
    const tokens = others.samples.map(({ token }) => token);
    expect(tokens[3]).toBe(first.samples[0].token);
    // Four draws out of a thousand tokens, none likelier than some percent, are not all the same one.
    expect(new Set(tokens).size).toBeGreaterThan(1);
  });
});
