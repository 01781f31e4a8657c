import { MAX_TOP_LOGPROBS, type SamplingSettings } from '../../engine/runner';
import { usesPenalties } from '../../engine/sampler_chain';
import { IN_PROMPT } from './record';

/** Lanes of the kernel's workgroup: the draw walks tokens 0, LANES, 2·LANES …, then 1, LANES + 1 …. */
const LANES = 256;
const LARGEST_F32 = 3.4028234663852886e38;
/** Temperatures above 0 act as at least this one. */
export const MIN_TEMPERATURE = 1e-6;

/** What a slot knows when a token is chosen. */
export interface SlotState {
  /** [vocabSize], see IN_PROMPT. */
  readonly counts: Uint32Array;
  readonly bias: readonly (readonly [token: number, bias: number])[];
}

export interface Choice {
  readonly token: number;
  /**
   * How far the choice is from another one: the least distance of the draw from its interval's ends, of top-p's target from the
   * cumulative masses around it, of min-p's threshold from a logit and of penalised logits from each other where the order decides.
   * Within rounding of 0 a sampler in f32 may choose a neighbour. Infinity where nothing is near.
   */
  readonly margin: number;
  /** No token has a probability: the choice means nothing. */
  readonly noChance?: true;
}

/** Logits as the sampler sees them: NaN as -Infinity, +Infinity as the largest finite f32. */
export function clean(x: number): number {
  return Number.isNaN(x) ? Number.NEGATIVE_INFINITY : Math.min(x, LARGEST_F32);
}

/** True when a setting changes logits before the choice. */
function adjustsLogits(s: SamplingSettings): boolean {
  return usesPenalties(s) || s.logitBias.length > 0;
}

/** Logits after repetition penalty (CTRL), frequency and presence penalty (OpenAI), and bias, in this order, rounded to f32. */
export function adjustLogits(logits: Float32Array, s: SamplingSettings, slot: SlotState): Float32Array {
  const adjusted = Float32Array.from(logits, clean);
  if (usesPenalties(s)) penalise(adjusted, s, slot.counts);
  addBias(adjusted, slot.bias);
  return adjusted;
}

/** Repetition, frequency and presence penalty, in place; `temperature` is what the logits are still to be divided by. */
export function penalise(values: Float32Array, s: SamplingSettings, counts: Uint32Array, temperature = 1): void {
  for (let t = 0; t < values.length; t++) {
    const seen = counts[t];
    if (seen === 0 || values[t] === Number.NEGATIVE_INFINITY) continue;
    let x = values[t];
    x = x > 0 ? x / s.repetitionPenalty : x * s.repetitionPenalty;
    const occurrences = seen & ~IN_PROMPT;
    if (occurrences > 0) x -= (s.frequencyPenalty * occurrences + s.presencePenalty) * temperature;
    values[t] = clean(Math.fround(x));
  }
}

export function addBias(values: Float32Array, bias: SlotState['bias']): void {
  for (const [token, by] of bias) values[token] = clean(Math.fround(values[token] + by));
}

/**
 * Chooses a token: the definition that shaders/ops/sample.wgsl implements, in f64.
 *
 * @param logits [vocabSize]
 * @param uniform the draw, in [0, 1)
 */
export function chooseToken(logits: Float32Array, s: SamplingSettings, slot: SlotState, uniform: number): Choice {
  const adjusted = adjustLogits(logits, s, slot);
  const order = Array.from(adjusted.keys()).sort((a, b) => compare(adjusted[a], adjusted[b]) || a - b);
  const best = adjusted[order[0]];
  let margin = Number.POSITIVE_INFINITY;
  const near = (distance: number): void => {
    margin = Math.min(margin, distance);
  };
  const nearInOrder = (keep: number): void => {
    if (!adjustsLogits(s) || keep >= order.length) return;
    const gap = adjusted[order[keep - 1]] - adjusted[order[keep]];
    if (gap > 0) near(gap);
  };

  if (best === Number.NEGATIVE_INFINITY) return { token: order[0], margin, noChance: true };
  if (s.temperature === 0) {
    nearInOrder(1);
    return { token: order[0], margin };
  }

  let keep = order.length;
  if (s.topK > 0 && s.topK < keep) {
    keep = s.topK;
    nearInOrder(keep);
  }
  if (s.topP < 1) {
    const weights = order.slice(0, keep).map((t) => Math.exp(adjusted[t] - best));
    const mass = weights.reduce((sum, weight) => sum + weight, 0);
    let reached = 0;
    let count = 0;
    while (count < keep && reached < s.topP * mass) {
      near(Math.abs(reached / mass - s.topP));
      reached += weights[count++];
    }
    near(Math.abs(reached / mass - s.topP));
    keep = Math.max(1, count);
    nearInOrder(keep);
  }
  if (s.minP > 0) {
    const least = best + Math.log(s.minP);
    const kept = Math.max(1, order.slice(0, keep).filter((t) => adjusted[t] >= least).length);
    near(Math.abs(adjusted[order[kept - 1]] - least));
    if (kept < order.length) near(Math.abs(adjusted[order[kept]] - least));
    keep = kept;
  }

  const temperature = Math.max(s.temperature, MIN_TEMPERATURE);
  const weights = new Float64Array(adjusted.length);
  for (const t of order.slice(0, keep)) weights[t] = Math.exp((adjusted[t] - best) / temperature);
  const drawn = drawInLaneOrder(weights, uniform);
  near(drawn.margin);
  return { token: drawn.token, margin };
}

/** Inverse CDF over tokens in lane order: the first token whose cumulative weight exceeds uniform · total. */
export function drawInLaneOrder(weights: Float64Array, uniform: number): Choice {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const target = uniform * total;
  let passed = 0;
  let token = 0;
  for (let lane = 0; lane < LANES; lane++) {
    for (let t = lane; t < weights.length; t += LANES) {
      if (weights[t] === 0) continue;
      token = t;
      const before = passed;
      passed += weights[t];
      if (passed > target) {
        // The ends of the whole range are no borders: u is never below 0, and nothing follows the last token.
        const lower = before === 0 ? Number.POSITIVE_INFINITY : (target - before) / total;
        const upper = passed >= total * (1 - 1e-12) ? Number.POSITIVE_INFINITY : (passed - target) / total;
        return { token, margin: Math.min(lower, upper) };
      }
    }
  }
  return { token, margin: 0 };
}

/** Negative when a comes first in descending order. */
export function compare(a: number, b: number): number {
  return a === b ? 0 : a > b ? -1 : 1;
}

/** Log-probabilities of the raw logits' softmax. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const values = Float64Array.from(logits, clean);
  const best = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  if (best === Number.NEGATIVE_INFINITY) return values;
  const sum = values.reduce((total, x) => total + Math.exp(x - best), 0);
  return values.map((x) => x - best - Math.log(sum));
}

/** The `count` likeliest tokens in descending order, lowest id first among equals. */
export function topLogprobs(
  logits: Float32Array,
  logprobs: Float64Array,
  count: number,
): readonly (readonly [token: number, logprob: number])[] {
  const values = logits.map(clean);
  const order = Array.from(values.keys()).sort((a, b) => compare(values[a], values[b]) || a - b);
  return order.slice(0, Math.min(count, MAX_TOP_LOGPROBS)).map((t) => [t, logprobs[t]] as const);
}
