import { describe, expect, it } from 'vitest';
import { GREEDY, type SamplingSettings } from '../../../src/engine/runner';
import { argmax } from '../../../src/ops/argmax';
import { adjustLogits, chooseToken, logSoftmax, topLogprobs } from '../../../src/ops/sample/reference';

const INFINITY = Number.POSITIVE_INFINITY;
const noState = (vocab: number) => ({ counts: new Uint32Array(vocab), bias: [] });

/** The tokens that can come out, by drawing over a fine grid. */
function reachable(logits: readonly number[], settings: Partial<SamplingSettings>): number[] {
  const found = new Set<number>();
  for (let i = 0; i < 4000; i++) {
    const all = { ...GREEDY, ...settings };
    found.add(chooseToken(Float32Array.from(logits), all, noState(logits.length), (i + 0.5) / 4000).token);
  }
  return [...found].sort((a, b) => a - b);
}

const logsOf = (...probabilities: number[]) => probabilities.map(Math.log);

describe('argmax', () => {
  it.each([
    { logits: [1, 3, 3, 2], token: 1 },
    { logits: [Number.NaN, -5, -4], token: 2 },
    { logits: [Number.NaN, -INFINITY, Number.NaN], token: 0 },
    { logits: [-INFINITY, -INFINITY], token: 0 },
    { logits: [-0, 0], token: 0 },
    { logits: [5, INFINITY, INFINITY], token: 1 },
  ])('of $logits is $token', ({ logits, token }) => {
    expect(argmax(Float32Array.from(logits))).toBe(token);
    expect(chooseToken(Float32Array.from(logits), GREEDY, noState(logits.length), 0.5).token).toBe(token);
  });
});

describe('chooseToken', () => {
  it('keeps the k best, the lowest ids of equals', () => {
    expect(reachable([1, 2, 1, 2, 1], { temperature: 1, topK: 3 })).toEqual([0, 1, 3]);
  });

  it('keeps the smallest set that reaches p', () => {
    const logits = logsOf(0.1, 0.4, 0.2, 0.3);
    expect(reachable(logits, { temperature: 1, topP: 0.39 })).toEqual([1]);
    expect(reachable(logits, { temperature: 1, topP: 0.69 })).toEqual([1, 3]);
    expect(reachable(logits, { temperature: 1, topP: 0.71 })).toEqual([1, 2, 3]);
  });

  it('measures top-p among what top-k left, and before the temperature', () => {
    const logits = logsOf(0.1, 0.4, 0.2, 0.3);
    // 0.4 / 0.7 = 0.57 of the two best.
    expect(reachable(logits, { temperature: 100, topK: 2, topP: 0.55 })).toEqual([1]);
    expect(reachable(logits, { temperature: 100, topK: 2, topP: 0.6 })).toEqual([1, 3]);
  });

  it('drops what is less than minP times as likely as the best', () => {
    expect(reachable(logsOf(0.05, 0.5, 0.2, 0.25), { temperature: 50, minP: 0.45 })).toEqual([1, 3]);
  });

  it('draws in proportion to exp(logit / temperature)', () => {
    const logits = Float32Array.from([0, 1, -1]);
    const temperature = 0.5;
    const drawn = [0, 0, 0];
    for (let i = 0; i < 10_000; i++) {
      drawn[chooseToken(logits, { ...GREEDY, temperature }, noState(3), (i + 0.5) / 10_000).token]++;
    }
    const weights = [1, Math.exp(2), Math.exp(-2)];
    const total = weights[0] + weights[1] + weights[2];
    weights.forEach((weight, t) => {
      expect(drawn[t] / 10_000).toBeCloseTo(weight / total, 3);
    });
  });

  it('measures how close a draw is to its neighbours', () => {
    const settings = { ...GREEDY, temperature: 1 };
    const logits = Float32Array.from([0, 0]);
    expect(chooseToken(logits, settings, noState(2), 0.4999).margin).toBeCloseTo(0.0001, 6);
    expect(chooseToken(logits, settings, noState(2), 0.25).margin).toBeCloseTo(0.25, 6);
  });

  it('never draws a token of -Infinity or NaN', () => {
    expect(reachable([Number.NaN, 1, -INFINITY, 1], { temperature: 100 })).toEqual([1, 3]);
  });
});

describe('adjustLogits', () => {
  const slot = { counts: Uint32Array.from([0x80000000, 2, 0, 0x80000001]), bias: [[2, 1.5]] as const };

  it('divides positive and multiplies negative logits of seen tokens by the repetition penalty', () => {
    const adjusted = adjustLogits(Float32Array.from([3, -2, 5, -1]), { ...GREEDY, repetitionPenalty: 2 }, slot);
    expect([...adjusted]).toEqual([1.5, -4, 6.5, -2]);
  });

  it('subtracts frequency per occurrence and presence once, of the output alone', () => {
    const settings = { ...GREEDY, frequencyPenalty: 0.5, presencePenalty: 1 };
    expect([...adjustLogits(Float32Array.from([3, 3, 3, 3]), settings, slot)]).toEqual([3, 1, 4.5, 1.5]);
  });

  it('bans with a bias of -Infinity', () => {
    const settings = { ...GREEDY, logitBias: [[1, -INFINITY]] as const };
    const banned = { counts: new Uint32Array(2), bias: settings.logitBias };
    expect(chooseToken(Float32Array.from([0, 50]), settings, banned, 0).token).toBe(0);
  });
});

describe('log-probabilities', () => {
  it('sum to one and come in descending order, lowest id first among equals', () => {
    const logits = Float32Array.from([1, 4, 4, -INFINITY, 2]);
    const logprobs = logSoftmax(logits);
    expect(logprobs.reduce((sum, x) => sum + Math.exp(x), 0)).toBeCloseTo(1, 12);
    expect(topLogprobs(logits, logprobs, 3).map(([token]) => token)).toEqual([1, 2, 4]);
    expect(topLogprobs(logits, logprobs, 20)).toHaveLength(5);
  });
});
