import { describe, expect, it } from 'vitest';
import { GREEDY, MAX_LOGIT_BIAS, MAX_TOP_LOGPROBS } from '../../../src/engine/runner';
import {
  ACCEPTED,
  bitsToFloat,
  decodeSamples,
  encodeBias,
  encodeCounts,
  encodeSampling,
  floatBits,
  NO_CHANCE,
  NO_LOGPROB,
  SAMPLE_WORDS,
} from '../../../src/ops/sample/record';
import { SAMPLING, SAMPLING_WORDS } from '../../../src/ops/step_layout';

describe('decodeSamples', () => {
  it('reads tokens, log-probabilities and as many top entries as were written', () => {
    const words = new Uint32Array(2 * SAMPLE_WORDS).fill(0xabcdef);
    words.set([7, floatBits(-0.5), 2, 0, 7, floatBits(-0.5), 9, floatBits(-2)]);
    words.set([11, NO_LOGPROB, 0, 0], SAMPLE_WORDS);
    const [first, second] = decodeSamples(words, 2);
    expect(first).toEqual({
      token: 7,
      logprob: -0.5,
      top: [
        [7, -0.5],
        [9, -2],
      ],
    });
    expect(second).toEqual({ token: 11, logprob: Number.NaN, top: [] });
  });

  it('says where a guess is right and where no token has a chance', () => {
    const words = new Uint32Array(2 * SAMPLE_WORDS);
    words.set([7, floatBits(-0.5), ACCEPTED + 1, 0, 7, floatBits(-0.5)]);
    words.set([0, NO_LOGPROB, NO_CHANCE, 0], SAMPLE_WORDS);
    const [first, second] = decodeSamples(words, 2);
    expect(first).toEqual({ token: 7, logprob: -0.5, top: [[7, -0.5]], accepted: true });
    expect(second).toEqual({ token: 0, logprob: Number.NaN, top: [], noChance: true });
  });

  it('refuses records that cannot be', () => {
    expect(() => decodeSamples(new Uint32Array(SAMPLE_WORDS), 2)).toThrow(/2 sample records/);
    const words = new Uint32Array(SAMPLE_WORDS);
    words[2] = MAX_TOP_LOGPROBS + 1;
    expect(() => decodeSamples(words, 1)).toThrow(/21 top tokens/);
  });
});

describe('encodeSampling', () => {
  it('keeps a 53-bit seed and writes floats by their bits', () => {
    const words = new Uint32Array(SAMPLING_WORDS + 3);
    const seed = 2 ** 52 + 12345;
    encodeSampling({ sampling: { ...GREEDY, temperature: 0.75, topK: 40, seed, logitBias: [[1, 2]] } }, words, 3);
    expect(bitsToFloat(words[3 + SAMPLING.temperature])).toBe(0.75);
    expect(words[3 + SAMPLING.topK]).toBe(40);
    expect(words[3 + SAMPLING.seedHigh] * 2 ** 32 + words[3 + SAMPLING.seedLow]).toBe(seed);
    expect(words[3 + SAMPLING.topLogprobs]).toBe(0xffffffff);
    expect(words[3 + SAMPLING.biasCount]).toBe(1);
  });
});

describe('encodeBias', () => {
  const encode = (logitBias: (readonly [number, number])[]) => encodeBias({ ...GREEDY, logitBias }, 100);

  it('writes pairs, -Infinity as such', () => {
    const words = encode([
      [5, 1.5],
      [99, Number.NEGATIVE_INFINITY],
    ]);
    expect([words[0], bitsToFloat(words[1]), words[2], bitsToFloat(words[3])]).toEqual([
      5,
      1.5,
      99,
      Number.NEGATIVE_INFINITY,
    ]);
  });

  it.each([
    { what: 'a token outside of the vocabulary', pairs: [[100, 1]], message: /token 100 .* vocabulary of 100/ },
    {
      what: 'a token twice',
      pairs: [
        [4, 1],
        [4, 2],
      ],
      message: /token 4 twice/,
    },
    { what: 'NaN', pairs: [[4, Number.NaN]], message: /token 4 is not a number/ },
    { what: 'too many', pairs: Array.from({ length: MAX_LOGIT_BIAS + 1 }, () => [1, 1]), message: /1025 logit biases/ },
  ] as { what: string; pairs: [number, number][]; message: RegExp }[])('refuses $what', ({ pairs, message }) => {
    expect(() => encode(pairs)).toThrow(message);
  });
});

describe('encodeCounts', () => {
  it('marks the prompt and counts the output', () => {
    const words = encodeCounts({ sampling: GREEDY, promptTokens: [1, 1, 3], outputTokens: [3, 2, 3] }, 5);
    expect([...words]).toEqual([0, 0x80000000, 1, 0x80000002, 0]);
  });

  it('refuses a token outside of the vocabulary', () => {
    expect(() => encodeCounts({ sampling: GREEDY, promptTokens: [5], outputTokens: [] }, 5)).toThrow(/token 5/);
  });
});
