import {
  MAX_LOGIT_BIAS,
  MAX_TOP_LOGPROBS,
  type Sample,
  type SamplingSettings,
  type SlotInit,
} from '../../engine/runner';
import { InternalError } from '../../errors';
import { SAMPLING } from '../step_layout';

/**
 * A sample record, one per sampled row, u32 words: token, logprob bits, number of top entries, reserved, then MAX_TOP_LOGPROBS pairs
 * of (token, logprob bits) in descending order, of which only the first `number of top entries` are written.
 */
export const SAMPLE = { token: 0, logprob: 1, topCount: 2, top: 4 } as const;
export const SAMPLE_WORDS = SAMPLE.top + 2 * MAX_TOP_LOGPROBS;

/** The logprob word of a sample whose log-probability was not asked for. */
export const NO_LOGPROB = 0x7fc00000;
/** The word of a log-probability or bias of -Infinity. */
const NEGATIVE_INFINITY_BITS = 0xff800000;
/** Set in a count word when the token is in the prompt; the other bits count occurrences in the output. */
export const IN_PROMPT = 0x80000000;

const LARGEST_F32 = 3.4028234663852886e38;

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

/** The bits of the f32 nearest to x. */
export function floatBits(x: number): number {
  f32[0] = x;
  return u32[0];
}

/** The value of an f32's bits. */
export function bitsToFloat(bits: number): number {
  u32[0] = bits;
  return f32[0];
}

/** Reads the records of the first `sampledRows` rows. `words` starts at the first record. */
export function decodeSamples(words: Uint32Array, sampledRows: number): Sample[] {
  if (words.length < sampledRows * SAMPLE_WORDS) {
    throw new InternalError(`${words.length} words hold fewer than ${sampledRows} sample records`);
  }
  return Array.from({ length: sampledRows }, (_, row) => {
    const at = row * SAMPLE_WORDS;
    const count = words[at + SAMPLE.topCount];
    if (count > MAX_TOP_LOGPROBS) throw new InternalError(`sample record ${row} claims ${count} top tokens`);
    const top = Array.from({ length: count }, (_, i): readonly [number, number] => {
      const entry = at + SAMPLE.top + 2 * i;
      return [words[entry], bitsToFloat(words[entry + 1])];
    });
    return { token: words[at + SAMPLE.token], logprob: bitsToFloat(words[at + SAMPLE.logprob]), top };
  });
}

/** Writes a segment's sampling record (SAMPLING in step_layout.ts) to words[at …]. */
export function encodeSampling(settings: SamplingSettings, words: Uint32Array, at: number): void {
  words[at + SAMPLING.temperature] = floatBits(settings.temperature);
  words[at + SAMPLING.topK] = Math.min(settings.topK, 0xffffffff);
  words[at + SAMPLING.topP] = floatBits(settings.topP);
  words[at + SAMPLING.minP] = floatBits(settings.minP);
  words[at + SAMPLING.repetitionPenalty] = floatBits(settings.repetitionPenalty);
  words[at + SAMPLING.frequencyPenalty] = floatBits(settings.frequencyPenalty);
  words[at + SAMPLING.presencePenalty] = floatBits(settings.presencePenalty);
  words[at + SAMPLING.seedLow] = settings.seed % 2 ** 32;
  words[at + SAMPLING.seedHigh] = Math.floor(settings.seed / 2 ** 32);
  words[at + SAMPLING.topLogprobs] = settings.topLogprobs < 0 ? 0xffffffff : settings.topLogprobs;
  words[at + SAMPLING.biasCount] = settings.logitBias.length;
}

/**
 * A slot's part of the bias state: (token, f32 bits) pairs, as many as the settings have. Throws InternalError on an entry that is not
 * a number, lies outside of the vocabulary, or names a token twice.
 */
export function encodeBias({ logitBias }: SamplingSettings, vocabSize: number): Uint32Array<ArrayBuffer> {
  if (logitBias.length > MAX_LOGIT_BIAS) {
    throw new InternalError(`${logitBias.length} logit biases, at most ${MAX_LOGIT_BIAS}`);
  }
  const words = new Uint32Array(logitBias.length * 2);
  const seen = new Set<number>();
  logitBias.forEach(([token, bias], i) => {
    if (Number.isNaN(bias)) throw new InternalError(`logit bias of token ${token} is not a number`);
    if (seen.has(token)) throw new InternalError(`logit bias names token ${token} twice`);
    seen.add(token);
    words[2 * i] = checkedToken(token, vocabSize);
    // A finite ceiling: +Infinity would meet -Infinity in one sum.
    words[2 * i + 1] = bias < -LARGEST_F32 ? NEGATIVE_INFINITY_BITS : floatBits(Math.min(bias, LARGEST_F32));
  });
  return words;
}

/** A slot's part of the counts state, [vocabSize] words. Throws InternalError when a token is outside of the vocabulary. */
export function encodeCounts(
  init: Pick<SlotInit, 'promptTokens' | 'outputTokens'>,
  vocabSize: number,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(vocabSize);
  for (const token of init.promptTokens) words[checkedToken(token, vocabSize)] = IN_PROMPT;
  for (const token of init.outputTokens) words[checkedToken(token, vocabSize)]++;
  return words;
}

function checkedToken(token: number, vocabSize: number): number {
  if (Number.isInteger(token) && token >= 0 && token < vocabSize) return token;
  throw new InternalError(`token ${token} is outside of the vocabulary of ${vocabSize}`);
}
