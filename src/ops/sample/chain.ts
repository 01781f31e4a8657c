import { MAX_TOP_LOGPROBS, type Proposal, type SamplingSettings } from '../../engine/runner';
import { type ChainStage, chainOf, chainOfSegment, type SegmentSampling } from '../../engine/sampler_chain';
import {
  addBias,
  type Choice,
  clean,
  compare,
  drawInLaneOrder,
  MIN_TEMPERATURE,
  penalise,
  type SlotState,
} from './reference';
import { type Guess, judgeGuess } from './rejection';
import type { STREAM } from './rng';

/** Tokens from which mirostat 1 estimates how fast probabilities fall. */
const MIROSTAT_TOKENS = 100;

/** What the chain knows of a slot when a token is chosen. */
export interface ChainState extends SlotState {
  /** What DRY subtracts, by token. */
  readonly dry: readonly (readonly [token: number, penalty: number])[];
  /** Mirostat's limit of surprise, in bits. */
  readonly mu: number;
}

interface ChainChoice extends Choice {
  /** Mirostat's limit for the next token. */
  readonly mu?: number;
  /** What a guess was drawn from. */
  readonly proposal?: Proposal;
}

/** Logits on their way through the chain. */
export interface Shaped {
  /** [vocabSize] f32; -Infinity for what was dropped. */
  readonly values: Float32Array;
  /** What the values are still to be divided by. */
  temperature: number;
  /** As `Choice.margin`, so far. */
  margin: number;
}

/** The tokens that are left, likeliest first, with their probabilities. */
interface Distribution {
  readonly tokens: readonly number[];
  readonly probabilities: readonly number[];
  /** Natural logarithm of Σ exp((x - best) / temperature). */
  readonly logSum: number;
  /** Σ p · (x - best) / temperature */
  readonly mean: number;
}

function distributionOf({ values, temperature }: Shaped): Distribution {
  const tokens = Array.from(values.keys())
    .filter((t) => values[t] !== Number.NEGATIVE_INFINITY)
    .sort((a, b) => compare(values[a], values[b]) || a - b);
  const distances = tokens.map((t) => (values[t] - values[tokens[0]]) / temperature);
  const weights = distances.map(Math.exp);
  const sum = weights.reduce((a, b) => a + b, 0);
  const probabilities = weights.map((weight) => weight / sum);
  const mean = probabilities.reduce((total, p, i) => total + p * distances[i], 0);
  return { tokens, probabilities, logSum: Math.log(sum), mean };
}

function near(shaped: Shaped, distance: number): void {
  shaped.margin = Math.min(shaped.margin, distance);
}

function drop(shaped: Shaped, tokens: readonly number[]): void {
  for (const t of tokens) shaped.values[t] = Number.NEGATIVE_INFINITY;
}

/** Keeps the first `count` of tokens in an order by `scores`. */
function keepFirst(shaped: Shaped, ordered: readonly number[], count: number, score: (token: number) => number): void {
  if (count >= ordered.length) return;
  const gap = Math.abs(score(ordered[count - 1]) - score(ordered[count]));
  if (gap > 0) near(shaped, gap);
  drop(shaped, ordered.slice(count));
}

/** Keeps tokens of at least this value, and the best. */
function keepAbove(shaped: Shaped, { tokens }: Distribution, least: number): void {
  for (const t of tokens.slice(1)) near(shaped, Math.abs(shaped.values[t] - least));
  drop(
    shaped,
    tokens.slice(1).filter((t) => shaped.values[t] < least),
  );
}

/** How many of the probabilities, in this order, it takes to reach `p`. */
function countToReach(shaped: Shaped, probabilities: readonly number[], p: number): number {
  let reached = 0;
  let count = 0;
  while (count < probabilities.length && reached < p) {
    near(shaped, Math.abs(reached - p));
    reached += probabilities[count++];
  }
  near(shaped, Math.abs(reached - p));
  return Math.max(1, count);
}

/** Stages that drop tokens or set the temperature: they need the distribution so far. */
const STAGES: Readonly<
  Record<
    Exclude<ChainStage, 'penalties' | 'dry' | 'bias'>,
    (shaped: Shaped, d: Distribution, s: SamplingSettings, state: ChainState, uniform: number) => void
  >
> = {
  top_n_sigma(shaped, d, s) {
    const values = d.tokens.map((t) => shaped.values[t]);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((total, x) => total + (x - mean) ** 2, 0) / values.length;
    keepAbove(shaped, d, values[0] - s.topNSigma * Math.sqrt(variance));
  },

  top_k(shaped, d, s) {
    keepFirst(shaped, d.tokens, s.topK, (t) => shaped.values[t]);
  },

  typ_p(shaped, d, s) {
    // The logit whose surprise is the entropy.
    const typical = shaped.values[d.tokens[0]] + shaped.temperature * d.mean;
    const distance = (t: number): number => Math.abs(shaped.values[t] - typical);
    const probability = new Map(d.tokens.map((t, i) => [t, d.probabilities[i]] as const));
    const ordered = d.tokens.toSorted((a, b) => distance(a) - distance(b) || a - b);
    const probabilities = ordered.map((t) => probability.get(t) as number);
    keepFirst(shaped, ordered, countToReach(shaped, probabilities, s.typicalP), distance);
  },

  top_p(shaped, d, s) {
    keepFirst(shaped, d.tokens, countToReach(shaped, d.probabilities, s.topP), (t) => shaped.values[t]);
  },

  min_p(shaped, d, s) {
    keepAbove(shaped, d, shaped.values[d.tokens[0]] + shaped.temperature * Math.log(s.minP));
  },

  xtc(shaped, d, s, _state, uniform) {
    near(shaped, s.xtcProbability === 1 ? 1 : Math.abs(uniform - s.xtcProbability));
    if (uniform >= s.xtcProbability) return;
    for (const p of d.probabilities) near(shaped, Math.abs(p / s.xtcThreshold - 1));
    const above = d.tokens.filter((_, i) => d.probabilities[i] >= s.xtcThreshold);
    if (above.length < 2) return;
    const gap = shaped.values[above[above.length - 2]] - shaped.values[above[above.length - 1]];
    if (gap > 0) near(shaped, gap);
    drop(shaped, above.slice(0, -1));
  },

  temperature(shaped, d, s) {
    if (s.temperature === 0) {
      keepFirst(shaped, d.tokens, 1, (t) => shaped.values[t]);
      return;
    }
    let temperature = s.temperature;
    if (s.dynatempRange > 0 && d.tokens.length > 1) {
      const low = Math.max(0, s.temperature - s.dynatempRange);
      const high = s.temperature + s.dynatempRange;
      const flatness = (d.logSum - d.mean) / Math.log(d.tokens.length);
      temperature = low + (high - low) * Math.min(1, Math.max(0, flatness)) ** s.dynatempExponent;
    } else if (s.dynatempRange > 0) {
      return;
    }
    shaped.temperature = Math.max(MIN_TEMPERATURE, shaped.temperature * temperature);
  },

  mirostat_1(shaped, d, _s, { mu }) {
    const values = d.tokens.slice(0, MIROSTAT_TOKENS).map((t) => shaped.values[t]);
    if (values.length < 2) return;
    let products = 0;
    let squares = 0;
    for (let i = 0; i + 1 < values.length; i++) {
      const rank = Math.log((i + 2) / (i + 1));
      products += (rank * (values[i] - values[i + 1])) / shaped.temperature;
      squares += rank * rank;
    }
    const kept = mirostatCount(products / squares, mu, shaped.values.length);
    near(shaped, Math.abs(kept - Math.round(kept)) / kept);
    keepFirst(shaped, d.tokens, Math.max(1, Math.floor(kept)), (t) => shaped.values[t]);
  },

  mirostat_2(shaped, d, _s, { mu }) {
    const least = shaped.values[d.tokens[0]] + shaped.temperature * (d.logSum - mu * Math.LN2);
    keepAbove(shaped, d, least);
  },
};

/**
 * How many of `vocab` tokens whose probabilities fall as rank^-exponent keep the surprise below `mu` bits (Basu et al. 2021, algorithm 1), from
 * 1 to vocab, not rounded.
 */
function mirostatCount(exponent: number, mu: number, vocab: number): number {
  const s = Math.max(exponent, 1e-6);
  const excess = Math.abs(s - 1) < 1e-6 ? 1e-6 : s - 1;
  // excess · 2^mu / (1 - vocab^-excess); both factors have the same sign.
  const ratio = Math.log(Math.abs(excess / (1 - vocab ** -excess))) + mu * Math.LN2;
  return Math.exp(Math.min(Math.max(ratio / s, 0), Math.log(vocab)));
}

/**
 * What the chain leaves of the logits: the definition that shaders/ops/sample_chain.wgsl implements, in f64.
 *
 * @param logits [vocabSize]
 * @param uniform what xtc draws, in [0, 1)
 */
export function shapeLogits(
  logits: Float32Array,
  s: SamplingSettings,
  state: ChainState,
  uniform: number,
  stages: readonly ChainStage[] = chainOf(s) ?? [],
): Shaped {
  const shaped: Shaped = { values: Float32Array.from(logits, clean), temperature: 1, margin: Number.POSITIVE_INFINITY };
  const { values } = shaped;
  for (const stage of stages) {
    if (values.every((x) => x === Number.NEGATIVE_INFINITY)) break;
    if (stage === 'bias') addBias(values, state.bias);
    else if (stage === 'penalties') penalise(values, s, state.counts, shaped.temperature);
    else if (stage === 'dry') {
      for (const [t, penalty] of state.dry) values[t] = clean(Math.fround(values[t] - penalty * shaped.temperature));
    } else STAGES[stage](shaped, distributionOf(shaped), s, state, uniform);
  }
  return shaped;
}

/** Numbers in [0, 1), each drawn for one use. */
export type ChainUniforms = Readonly<Record<keyof typeof STREAM, number>>;

/**
 * Chooses a token by the chain.
 *
 * @param guess what the row behind has for it, where rejection sampling decides about that
 */
export function chooseByChain(
  logits: Float32Array,
  segment: SegmentSampling,
  state: ChainState,
  uniforms: ChainUniforms,
  guess?: Guess,
): ChainChoice {
  const { sampling: s, proposes } = segment;
  const shaped = shapeLogits(logits, s, state, uniforms.xtc, chainOfSegment(segment));
  if (proposes) keepFirst(shaped, distributionOf(shaped).tokens, MAX_TOP_LOGPROBS, (t) => shaped.values[t]);
  const d = distributionOf(shaped);
  const weights = new Float64Array(logits.length);
  d.tokens.forEach((t, i) => {
    weights[t] = d.probabilities[i];
  });
  if (guess) {
    const { accepted, margin } = judgeGuess(weights, guess, uniforms.accept);
    near(shaped, margin);
    if (accepted) return { token: guess.token, margin: shaped.margin };
  }
  const drawn =
    d.tokens.length === 0
      ? { token: 0, margin: Number.POSITIVE_INFINITY, noChance: true as const }
      : drawInLaneOrder(weights, proposes ? uniforms.proposal : uniforms.token);
  const choice = { ...drawn, margin: Math.min(shaped.margin, drawn.margin) };
  if (proposes) return { ...choice, proposal: d.tokens.map((t, i) => [t, d.probabilities[i]] as const) };
  if (s.mirostat === 0) return choice;
  // Where every logit is -Infinity nothing can be learned.
  if (d.tokens.length === 0) return { ...choice, mu: state.mu };
  const surprise = -Math.log2(weights[drawn.token]);
  return { ...choice, mu: Math.fround(state.mu - s.mirostatEta * (surprise - s.mirostatTau)) };
}
