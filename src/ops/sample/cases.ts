import {
  type DryPenalties,
  GREEDY,
  MAX_TOP_LOGPROBS,
  type Proposal,
  type SamplingSettings,
  type Segment,
  type SlotInit,
} from '../../engine/runner';
import { chainOfSegment, isVerifiable } from '../../engine/sampler_chain';
import type { Optional, SampleCall, SampleChainCall } from '../decoding_calls';
import type { ActivationType, OpCase } from '../op';
import { CONTEXT, coarseLogits, randomOf, segmentsOf, shapeOf, tensorsOf } from './case_inputs';
import { chooseByChain } from './chain';
import { encodeBias, encodeCounts, encodePast, floatBits, IN_PROMPT, windowOf } from './record';
import { chooseToken } from './reference';
import type { Guess } from './rejection';
import { STREAM, uniformAt } from './rng';
import { countsBehind } from './slot_state';

/** A draw this far from a border comes out the same in f32. */
const SAFE_MARGIN = 1e-4;
const MAX_TRIES = 100;
/** Of how many tokens a slot's past is made. */
const PAST_TOKENS = 12;

type Row = SamplingSettings;

interface SampleCaseInit {
  readonly label: string;
  readonly vocab: number;
  readonly type?: ActivationType;
  readonly settings: readonly Partial<SamplingSettings>[];
  /** What DRY subtracts in the rows of the segment of the same index. */
  readonly dry?: readonly (DryPenalties | undefined)[];
  /** Replaces the logits of every sampled row. */
  readonly logits?: (token: number) => number;
  /** Those that may be in the past are likely: penalties decide. */
  readonly favoursPast?: boolean;
  /** The first segment's guesses come with what they were drawn from, the other segments propose. */
  readonly rejection?: boolean;
}

/** Some tokens, of which the first `likely` have high logits, with random probabilities. */
function proposalOf(vocab: number, likely: number, random: () => number): Proposal {
  const tokens = new Set(
    Array.from({ length: MAX_TOP_LOGPROBS }, () => Math.floor(random() * Math.min(vocab, likely))),
  );
  const weights = Array.from(tokens, () => 0.02 + random() ** 3);
  const total = weights.reduce((a, b) => a + b, 0);
  return Array.from(tokens, (token, i) => [token, Math.fround(weights[i] / total)] as const);
}

/** A slot's tokens up to `position`, of which the first half is the prompt: few of many tokens, so that most come twice. */
function pastOf(position: number, vocab: number, sampling: Row, random: () => number): SlotInit {
  const tokens = Array.from({ length: position + 1 }, () => Math.floor(random() * Math.min(vocab, PAST_TOKENS)));
  const half = Math.ceil(tokens.length / 2);
  return { sampling, promptTokens: tokens.slice(0, half), outputTokens: tokens.slice(half) };
}

/** Finds inputs whose outcome does not hang on rounding, so that f32 must agree with the reference to the token. */
function sampleCase(init: SampleCaseInit, random: () => number): OpCase<(SampleCall | SampleChainCall) & Optional> {
  const { vocab, type = 'f32' } = init;
  const slots = init.settings.length;
  const first: Row = { ...GREEDY, ...init.settings[0] };
  const sampleAll = isVerifiable(first);
  const sampledRows = slots + (sampleAll ? 2 : 0);
  const tensors = tensorsOf(vocab, slots, sampledRows, type);
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const counts = Uint32Array.from({ length: slots * vocab }, () => {
      const kind = Math.floor(random() * 8);
      return kind > 3 ? 0 : (kind & 1 ? IN_PROMPT : 0) + (kind & 2 ? Math.ceil(random() * 3) : 0);
    });
    const past = new Uint32Array(tensors.past.words);
    const rows = init.settings.map((partial) => ({ ...GREEDY, ...partial, seed: Math.floor(random() * 2 ** 53) }));
    const mu = Float32Array.from({ length: slots }, () => 2 + 6 * random());
    const logits = init.logits
      ? Float32Array.from({ length: sampledRows * vocab }, (_, i) => init.logits?.(i % vocab) ?? 0)
      : coarseLogits(sampledRows * vocab, random);
    if (init.favoursPast) for (let i = 0; i < logits.length; i++) if (i % vocab < PAST_TOKENS) logits[i] += 8;
    const bias = new Uint32Array(tensors.bias.words);

    let row = 0;
    let margin = Number.POSITIVE_INFINITY;
    const segments = segmentsOf(rows, sampleAll).map((segment, index): Segment => {
      const { slot, sampling, sample, position } = segment;
      bias.set(encodeBias(sampling, vocab), (slot * bias.length) / slots);
      const ownCounts = counts.subarray(slot * vocab, (slot + 1) * vocab);
      const ownPast = past.subarray(slot * CONTEXT, (slot + 1) * CONTEXT);
      if (windowOf(sampling) !== undefined) {
        const known = pastOf(position + (sample === 'all' ? 0 : 2), vocab, sampling, random);
        ownCounts.set(encodeCounts(known, vocab));
        ownPast.set(encodePast(known));
      }
      const tokens = [1, 2, 3].map((token) => token % vocab);
      const judged = init.rejection === true && sample === 'all';
      const proposes = init.rejection === true && sample !== 'all';
      const proposals: Proposal[] = [];
      const sampled = sample === 'all' ? 3 : 1;
      for (let i = 3 - sampled; i < 3; i++, row++) {
        const guesses = tokens.slice(4 - sampled, i + 1).map((token, g) => ({ token, position: position + 1 + g }));
        const state = { counts: countsBehind(guesses, sampling, ownCounts, ownPast), bias: sampling.logitBias };
        const uniform = (stream: number): number => uniformAt(sampling.seed, position + i, stream);
        const own = logits.subarray(row * vocab, (row + 1) * vocab);
        let guess: Guess | undefined;
        if (judged && i < 2) {
          const proposal = proposalOf(vocab, PAST_TOKENS, random);
          guess = { proposal, token: proposal[Math.floor(random() * proposal.length)][0] };
          proposals.push(proposal);
          tokens[i + 1] = guess.token;
        }
        const chosen = { ...segment, proposes, proposals: judged ? proposals : undefined };
        const choice = chainOfSegment(chosen)
          ? chooseByChain(
              own,
              chosen,
              { ...state, dry: init.dry?.[index] ?? [], mu: mu[slot] },
              {
                token: uniform(STREAM.token),
                xtc: uniform(STREAM.xtc),
                proposal: uniform(STREAM.proposal),
                accept: uniform(STREAM.accept),
              },
              guess,
            )
          : chooseToken(own, sampling, state, uniform(STREAM.token));
        margin = Math.min(margin, choice.margin);
        // The first guess is right, the second one every other time.
        if (i < 2 && !guess) tokens[i + 1] = i === 1 && random() < 0.5 ? (choice.token + 1) % vocab : choice.token;
      }
      return {
        ...segment,
        tokens,
        proposes,
        proposals: judged ? proposals : undefined,
        dryPenalties: init.dry && Array.from({ length: sampled }, () => init.dry?.[index] ?? []),
      };
    });
    if (margin < SAFE_MARGIN && attempt < MAX_TRIES - 1) continue;

    // Floats of the records are not the same to the bit.
    const floats =
      segments.some(({ proposes }) => proposes) ||
      rows.some((settings) => settings.topLogprobs >= 0 || settings.mirostat > 0);
    const outputs = [tensors.lastTokens, tensors.counts, tensors.past, ...(floats ? [] : [tensors.samples])];
    return {
      label: `sample ${type} ${vocab} ${init.label}`,
      calls: [
        ...(segments.some(chainOfSegment) ? [{ op: 'sample_chain', ...tensors, when: 'sampler_chain' } as const] : []),
        { op: 'sample', ...tensors },
      ],
      ...shapeOf(segments),
      inputs: {
        logits,
        [tensors.counts.name]: counts,
        [tensors.bias.name]: bias,
        [tensors.past.name]: past,
        [tensors.mu.name]: Uint32Array.from(mu, floatBits),
      },
      outputs: outputs.map((tensor) => ({ tensor, budget: 'exact' as const })),
    };
  }
  throw new RangeError('unreachable: the last attempt returns');
}

const xtc = { xtcProbability: 0.7, xtcThreshold: 0.04 };
const OTHER_ORDER = ['temperature', 'min_p', 'xtc', 'typ_p', 'penalties', 'dry', 'top_k', 'top_n_sigma'] as const;

/** Every sampler of the chain alone, and together in two orders; rows of the plain sampler beside them. */
const CHAIN_INITS: readonly SampleCaseInit[] = [
  {
    label: 'chain, alone',
    vocab: 500,
    settings: [
      { temperature: 1, topNSigma: 1.7 },
      { temperature: 1, typicalP: 0.6 },
      { temperature: 1.5, ...xtc },
      { temperature: 1, dynatempRange: 0.7, dynatempExponent: 1.5 },
      { temperature: 0.7, topK: 20 },
      { temperature: 1, mirostat: 1, mirostatTau: 3 },
      { temperature: 1.2, mirostat: 2, mirostatTau: 3 },
    ],
  },
  {
    label: 'chain, together',
    vocab: 500,
    dry: [[[7, 3.5]], [[3, 1e38]], undefined],
    settings: [
      {
        temperature: 0.8,
        dynatempRange: 0.3,
        topNSigma: 2.5,
        topK: 60,
        typicalP: 0.97,
        topP: 0.95,
        minP: 0.01,
        repetitionPenalty: 1.3,
        frequencyPenalty: 0.7,
        presencePenalty: -0.4,
        dryMultiplier: 1,
        ...xtc,
        logitBias: [[5, 3]] as const,
        topLogprobs: 3,
      },
      {
        temperature: 1.7,
        minP: 0.005,
        typicalP: 0.95,
        topK: 70,
        topNSigma: 4,
        dryMultiplier: 1,
        ...xtc,
        repetitionPenalty: 1.2,
        samplers: OTHER_ORDER,
      },
      { temperature: 0, typicalP: 0.5, topLogprobs: 20 },
    ],
  },
];

/** Guesses that are judged by rejection sampling: of settings that the plain sampler has too, and of others; and segments that propose. */
const REJECTION_INITS: readonly SampleCaseInit[] = [
  {
    label: 'rejection, plain settings',
    vocab: 500,
    settings: [{ temperature: 1 }, { temperature: 1.5 }, { temperature: 0.8, topK: 7, topP: 0.9 }],
    favoursPast: true,
    rejection: true,
  },
  {
    label: 'rejection, every other time',
    vocab: 500,
    settings: [{ temperature: 1.3, topK: 9 }],
    favoursPast: true,
    rejection: true,
  },
  {
    label: 'rejection under penalties and the chain',
    vocab: 500,
    settings: [
      { temperature: 0.7, minP: 0.01, typicalP: 0.95, presencePenalty: 1, repeatLastN: 6, logitBias: [[5, 3]] },
      { temperature: 0, repetitionPenalty: 1.2 },
    ],
    favoursPast: true,
    rejection: true,
  },
];

/** Draws under every setting, alone and together. Rows of one case differ in settings, as in a batch of several users. */
export function sampleCases(seed: number): readonly OpCase<(SampleCall | SampleChainCall) & Optional>[] {
  const random = randomOf(seed, 2);
  const penalties = { repetitionPenalty: 1.3, frequencyPenalty: 0.7, presencePenalty: -0.4 };
  const bias = [
    [3, 6.5],
    [0, Number.NEGATIVE_INFINITY],
    [17, -2],
  ] as const;
  const inits: readonly SampleCaseInit[] = [
    { label: 'temperature', vocab: 500, settings: [{ temperature: 1 }, { temperature: 0.3 }, { temperature: 5 }] },
    { label: 'top-k', vocab: 500, type: 'f16', settings: [1, 5, 40, 1e9].map((topK) => ({ temperature: 1, topK })) },
    {
      label: 'top-k among ties',
      vocab: 500,
      settings: [{ temperature: 1, topK: 300 }],
      logits: (t) => (t % 3 ? 1 : 2),
    },
    { label: 'top-p', vocab: 500, settings: [0.1, 0.5, 0.9].map((topP) => ({ temperature: 1.5, topP })) },
    { label: 'min-p', vocab: 500, settings: [0.02, 0.3].map((minP) => ({ temperature: 2, minP })) },
    {
      label: 'top-k, top-p, min-p',
      vocab: 500,
      settings: [
        { temperature: 0.8, topK: 40, topP: 0.93, minP: 0.03 },
        { temperature: 3, topK: 400, topP: 0.93 },
        { temperature: 1.5, topK: 40, minP: 0.1 },
      ],
    },
    { label: 'greedy beside sampled rows', vocab: 500, settings: [{}, { temperature: 0.7 }, { topLogprobs: 0 }] },
    { label: 'penalties', vocab: 500, settings: [penalties, { ...penalties, temperature: 0.6, topK: 20 }] },
    {
      label: 'penalties with a window',
      vocab: 500,
      settings: [2, 1, 9, 200].map((repeatLastN) => ({ ...penalties, temperature: 1, repeatLastN })),
      favoursPast: true,
    },
    { label: 'bias', vocab: 500, settings: [{ logitBias: bias }, { logitBias: bias, temperature: 0.9, topP: 0.8 }] },
    {
      label: 'logprobs',
      vocab: 500,
      settings: [
        { topLogprobs: 5, temperature: 1 },
        { topLogprobs: 20, ...penalties },
      ],
    },
    {
      label: 'all equal',
      vocab: 500,
      settings: [{ temperature: 1, topP: 0.7 }, { temperature: 100 }],
      logits: () => 0.5,
    },
    {
      label: 'no numbers',
      vocab: 300,
      settings: [{ temperature: 1, topK: 5 }, { temperature: 1, typicalP: 0.5 }, {}],
      logits: () => Number.NaN,
    },
    { label: 'one token', vocab: 1, settings: [{ temperature: 1, topK: 3, topP: 0.5, minP: 0.1 }] },
    ...CHAIN_INITS,
    ...REJECTION_INITS,
    { label: 'large vocabulary', vocab: 32000, settings: [{ temperature: 0.7, topK: 50, topP: 0.95 }] },
  ];
  return inits.map((init) => sampleCase(init, random));
}
