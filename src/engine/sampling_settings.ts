/** The settings of the sampler: what a request may say about how its tokens are chosen. */

/**
 * What the sampler chain is made of, in llama.cpp's spelling and order. Each looks at what the ones before it left: penalties and dry lower
 * logits, temperature divides them, the others drop tokens.
 */
export const SAMPLERS = [
  'penalties',
  'dry',
  'top_n_sigma',
  'top_k',
  'typ_p',
  'top_p',
  'min_p',
  'xtc',
  'temperature',
] as const;

export type SamplerName = (typeof SAMPLERS)[number];

/** How the next token is chosen. Defaults mean "off": temperature 0 is greedy. Order of application: `samplers`. */
export interface SamplingSettings {
  /** > 1 discourages tokens of prompt and output (Keskar et al. 2019, CTRL); 1 is off. */
  readonly repetitionPenalty: number;
  /** Subtracted once per occurrence in the output (OpenAI's definition); 0 is off. */
  readonly frequencyPenalty: number;
  /** Subtracted when the token has occurred in the output; 0 is off. */
  readonly presencePenalty: number;
  /** The penalties look at the last so many tokens of prompt and output; -1: at all, 0: at none. */
  readonly repeatLastN: number;
  /**
   * DRY (p-e-w 2024): a token that would go on with a repetition of n tokens loses multiplier · base^(n - allowedLength); 0 is off. Which tokens
   * these are is found on the host, for which each token must have been read back before the next is computed.
   */
  readonly dryMultiplier: number;
  readonly dryBase: number;
  /** Repetitions shorter than this are free. */
  readonly dryAllowedLength: number;
  /** How far back repetitions are looked for, in tokens of prompt and output; -1: all, 0: off. */
  readonly dryPenaltyLastN: number;
  /** No repetition goes past these strings; their tokens are `GenerateRequest.dryBreakers`. */
  readonly drySequenceBreakers: readonly string[];
  /** Added to the logit of a token, before all samplers but penalties that come first; -Infinity bans it. At most MAX_LOGIT_BIAS entries. */
  readonly logitBias: readonly (readonly [token: number, bias: number])[];
  /** 0 is greedy; otherwise logits are divided by it. */
  readonly temperature: number;
  /** The temperature becomes one of [temperature - range, temperature + range], the higher the flatter the distribution is; 0 is off. */
  readonly dynatempRange: number;
  /** Of the entropy, as a share of its maximum, which says where in that range. */
  readonly dynatempExponent: number;
  /** Keep tokens whose logit is at most this many standard deviations of the logits below the best (Tang et al. 2024); 0 is off. */
  readonly topNSigma: number;
  /** Keep the k most likely; 0 is off. */
  readonly topK: number;
  /** Keep the smallest set of most likely tokens whose probability reaches p; 1 is off. */
  readonly topP: number;
  /** Keep tokens at least `minP` times as likely as the best; 0 is off. */
  readonly minP: number;
  /** Keep the tokens whose surprise is nearest to the entropy, until their probability reaches this (Meister et al. 2023); 1 is off. */
  readonly typicalP: number;
  /** How often the tokens above `xtcThreshold` are dropped, all but the least likely of them (XTC, p-e-w 2024); 0 is off. */
  readonly xtcProbability: number;
  /** A probability; above 0.5 there are never two of them. */
  readonly xtcThreshold: number;
  /**
   * Mirostat (Basu et al. 2021) chooses, in place of samplers that drop tokens, how many to keep, so that the surprise of what it chooses
   * stays near `mirostatTau` bits; 0 is off, 1 and 2 are its versions.
   */
  readonly mirostat: number;
  readonly mirostatTau: number;
  /** How fast it learns. */
  readonly mirostatEta: number;
  /** Which samplers there are, in order of application. */
  readonly samplers: readonly SamplerName[];
  /** Seeds a counter-based generator: the draw at a position depends on (seed, position) alone. */
  readonly seed: number;
  /** How many of the likeliest tokens to report with their log-probability, 0 … MAX_TOP_LOGPROBS; -1: not even the chosen one's. */
  readonly topLogprobs: number;
}

export const MAX_TOP_LOGPROBS = 20;
export const MAX_LOGIT_BIAS = 1024;
export const MAX_DRY_PENALTIES = 1024;

export const GREEDY: SamplingSettings = {
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  repeatLastN: -1,
  dryMultiplier: 0,
  dryBase: 1.75,
  dryAllowedLength: 2,
  dryPenaltyLastN: -1,
  drySequenceBreakers: ['\n', ':', '"', '*'],
  logitBias: [],
  temperature: 0,
  dynatempRange: 0,
  dynatempExponent: 1,
  topNSigma: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  typicalP: 1,
  xtcProbability: 0,
  xtcThreshold: 0.1,
  mirostat: 0,
  mirostatTau: 5,
  mirostatEta: 0.1,
  samplers: SAMPLERS,
  seed: 0,
  topLogprobs: -1,
};
