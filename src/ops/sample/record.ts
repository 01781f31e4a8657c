import {
  MAX_LOGIT_BIAS,
  MAX_TOP_LOGPROBS,
  type Sample,
  type SamplingSettings,
  type SlotInit,
} from '../../engine/runner';
import { type ChainStage, chainOfSegment, type SegmentSampling, usesPenalties } from '../../engine/sampler_chain';
import { InternalError } from '../../errors';
import { SAMPLING } from '../step_layout';

/**
 * A sample record, one per sampled row, u32 words: token, logprob bits, number of top entries (and ACCEPTED, NO_CHANCE), f32 bits of mirostat's new limit
 * (0 without mirostat, and -0 for a limit of 0), then MAX_TOP_LOGPROBS pairs of (token, logprob bits; of a segment that proposes, probability bits)
 * in descending order, of which only the first `number of top entries` are written.
 */
export const SAMPLE = { token: 0, logprob: 1, topCount: 2, mu: 3, top: 4 } as const;
/** Set in the word of topCount when the segment's next row has this token: as a guess it is right. */
export const ACCEPTED = 0x80000000;
/** Likewise, when no token has a chance: logits that are no numbers, or every token banned. The record's token means nothing. */
export const NO_CHANCE = 0x40000000;
export const SAMPLE_WORDS = SAMPLE.top + 2 * MAX_TOP_LOGPROBS;

/** The logprob word of a sample whose log-probability was not asked for. */
export const NO_LOGPROB = 0x7fc00000;
/** The word of a log-probability or bias of -Infinity. */
const NEGATIVE_INFINITY_BITS = 0xff800000;
/** Set in a count word when the token is in the prompt; the other bits count occurrences in the output. */
export const IN_PROMPT = 0x80000000;

/** The bits of a word of past tokens that are the token. */
const PAST_TOKEN = 0xfffff;
/** Set in a word of past tokens: of the prompt, and the token is in no later position of the prompt. */
const LAST_IN_PROMPT = 0x80000000;
/** Set in a word of past tokens: of the output. */
const IN_OUTPUT = 0x40000000;

/** What a stage is called in the step buffer, four bits each. Mirostat 1 is two: the estimate, then the cut. */
const CHAIN_CODES: Readonly<Record<ChainStage, readonly number[]>> = {
  penalties: [1],
  dry: [2],
  top_n_sigma: [3],
  top_k: [4],
  typ_p: [5],
  top_p: [6],
  min_p: [7],
  xtc: [8],
  temperature: [9],
  bias: [10],
  mirostat_1: [11, 12],
  mirostat_2: [13],
};
const CODES_PER_WORD = 8;

export const LARGEST_F32 = 3.4028234663852886e38;

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
    const flags = words[at + SAMPLE.topCount];
    const accepted = flags >= ACCEPTED;
    const noChance = flags % ACCEPTED >= NO_CHANCE;
    const count = flags % NO_CHANCE;
    if (count > MAX_TOP_LOGPROBS) throw new InternalError(`sample record ${row} claims ${count} top tokens`);
    const top = Array.from({ length: count }, (_, i): readonly [number, number] => {
      const entry = at + SAMPLE.top + 2 * i;
      return [words[entry], bitsToFloat(words[entry + 1])];
    });
    const mu = words[at + SAMPLE.mu];
    return {
      token: words[at + SAMPLE.token],
      logprob: bitsToFloat(words[at + SAMPLE.logprob]),
      top,
      ...(accepted && { accepted }),
      ...(noChance && { noChance }),
      ...(mu !== 0 && { mu: bitsToFloat(mu) }),
    };
  });
}

/** The word of a sample record for a limit of mirostat's. */
export function encodeMu(mu: number): number {
  return floatBits(mu === 0 ? -0 : mu);
}

/** Writes a segment's sampling record (SAMPLING in step_layout.ts) to words[at …], but for where its tables are: DRY, proposals. */
export function encodeSampling(segment: SegmentSampling, words: Uint32Array, at: number): void {
  const settings = segment.sampling;
  words[at + SAMPLING.temperature] = floatBits(settings.temperature);
  words[at + SAMPLING.topK] = Math.min(settings.topK, 0xffffffff);
  words[at + SAMPLING.topP] = floatBits(settings.topP);
  words[at + SAMPLING.minP] = floatBits(settings.minP);
  const penalised = usesPenalties(settings);
  words[at + SAMPLING.repetitionPenalty] = floatBits(penalised ? settings.repetitionPenalty : 1);
  words[at + SAMPLING.frequencyPenalty] = floatBits(penalised ? settings.frequencyPenalty : 0);
  words[at + SAMPLING.presencePenalty] = floatBits(penalised ? settings.presencePenalty : 0);
  words[at + SAMPLING.seedLow] = settings.seed % 2 ** 32;
  words[at + SAMPLING.seedHigh] = Math.floor(settings.seed / 2 ** 32);
  words[at + SAMPLING.topLogprobs] = settings.topLogprobs < 0 ? 0xffffffff : settings.topLogprobs;
  words[at + SAMPLING.biasCount] = settings.logitBias.length;
  words[at + SAMPLING.repeatLastN] = windowOf(settings) ?? 0xffffffff;
  const chain = chainOfSegment(segment);
  if (!chain) return;
  words[at + SAMPLING.chained] = 1;
  words[at + SAMPLING.proposes] = segment.proposes ? 1 : 0;
  const codes = chain.flatMap((stage) => CHAIN_CODES[stage]);
  words[at + SAMPLING.stages] = codes.length;
  codes.forEach((code, i) => {
    words[at + SAMPLING.stageCodes + Math.floor(i / CODES_PER_WORD)] |= code << (4 * (i % CODES_PER_WORD));
  });
  words[at + SAMPLING.topNSigma] = floatBits(settings.topNSigma);
  words[at + SAMPLING.typicalP] = floatBits(settings.typicalP);
  words[at + SAMPLING.xtcProbability] = floatBits(settings.xtcProbability);
  words[at + SAMPLING.xtcThreshold] = floatBits(settings.xtcThreshold);
  words[at + SAMPLING.dynatempRange] = floatBits(settings.dynatempRange);
  words[at + SAMPLING.dynatempExponent] = floatBits(settings.dynatempExponent);
  words[at + SAMPLING.mirostat] = settings.mirostat;
  words[at + SAMPLING.mirostatTau] = floatBits(settings.mirostatTau);
  words[at + SAMPLING.mirostatEta] = floatBits(settings.mirostatEta);
}

/** Tokens that the penalties look back at; undefined when there is no limit, or nothing that looks. */
export function windowOf(s: SamplingSettings): number | undefined {
  return usesPenalties(s) && s.repeatLastN > 0 ? s.repeatLastN : undefined;
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

/**
 * A slot's part of the counts state, [vocabSize] words, of the tokens in the settings' window. Throws InternalError when a token is outside
 * of the vocabulary.
 */
export function encodeCounts(init: SlotInit, vocabSize: number): Uint32Array<ArrayBuffer> {
  const { promptTokens, outputTokens, sampling } = init;
  const words = new Uint32Array(vocabSize);
  const dropped = Math.max(0, promptTokens.length + outputTokens.length - (windowOf(sampling) ?? Number.MAX_VALUE));
  for (const token of promptTokens.slice(dropped)) words[checkedToken(token, vocabSize)] = IN_PROMPT;
  for (const token of outputTokens.slice(Math.max(0, dropped - promptTokens.length))) {
    words[checkedToken(token, vocabSize)]++;
  }
  return words;
}

/** The beginning of a slot's part of the past tokens: a word per position that is known. */
export function encodePast({ promptTokens, outputTokens }: SlotInit): Uint32Array<ArrayBuffer> {
  const words = Uint32Array.from([...promptTokens, ...outputTokens]);
  const last = new Map(promptTokens.map((token, position) => [token, position] as const));
  for (const position of last.values()) words[position] += LAST_IN_PROMPT;
  for (let i = promptTokens.length; i < words.length; i++) words[i] += IN_OUTPUT;
  return words;
}

/** A slot's counts after the token at `position` has been sampled, whose window then begins one position later; both are changed. */
export function commitToken(
  token: number,
  position: number,
  window: number | undefined,
  counts: Uint32Array,
  past: Uint32Array,
): void {
  counts[token]++;
  if (window === undefined) return;
  // Behind the last position of the context nothing is computed.
  if (position < past.length) past[position] = token + IN_OUTPUT;
  if (position < window) return;
  const left = past[position - window];
  const leaving = left & PAST_TOKEN;
  if (left & IN_OUTPUT) counts[leaving]--;
  else if (left & LAST_IN_PROMPT) counts[leaving] &= ~IN_PROMPT;
}

function checkedToken(token: number, vocabSize: number): number {
  if (Number.isInteger(token) && token >= 0 && token < vocabSize) return token;
  throw new InternalError(`token ${token} is outside of the vocabulary of ${vocabSize}`);
}
