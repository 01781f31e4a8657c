/** Chat completions in OpenAI's shape: what goes in and what comes out. */
import type { SamplerName } from '../engine/runner';
import type { ResponseFormat } from '../structured/response_format';

export type { SamplerName } from '../engine/runner';

export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

export interface ChatCompletionMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string | readonly TextPart[];
}

/** Sampling defaults to the model's plain distribution: temperature 1, nothing cut off. */
export interface ChatCompletionParams {
  readonly messages: readonly ChatCompletionMessage[];
  /** If given, must be the name of the model that is loaded (`engine.info.model`). */
  readonly model?: string;
  /** With `true` the answer comes in chunks as it is made. */
  readonly stream?: boolean;
  /** 0 takes the likeliest token every time. */
  readonly temperature?: number;
  /** Keep the k likeliest tokens; 0 keeps all. */
  readonly top_k?: number;
  /** Keep the smallest set of tokens whose probabilities reach p. */
  readonly top_p?: number;
  /** Keep tokens at least this many times as likely as the likeliest. */
  readonly min_p?: number;
  /** The same seed, prompt and settings give the same answer. */
  readonly seed?: number;
  /** Answers to give, 1 (default) … 128, each drawn for itself; the prompt is computed once. */
  readonly n?: number;
  /**
   * Beam search with so many beams, as in transformers; 1 (default): none. The `n` best are given, best first, each at once when the search is over.
   * Temperature is 0; nothing that changes probabilities goes with it, nor do `stop` and `speculation`.
   */
  readonly num_beams?: number;
  /** A beam's sum of log-probabilities is divided by its length to this power, default 1: above 0 favours long answers. */
  readonly length_penalty?: number;
  /**
   * When `num_beams` answers are there: true ends the search, false (default) ends it when the best beam would be worse than all of them if it ended now,
   * 'never' only when no beam can become better.
   */
  readonly early_stopping?: boolean | 'never';
  /**
   * Contrastive search (Su et al. 2022), above 0, at most 1 (its authors: 0.6): of the `top_k` (2 … 20, default 4) likeliest tokens the one with the largest
   * (1 - α) · probability - α · similarity, which is the largest cosine between its hidden state and any before. Draws nothing: temperature is 0.
   */
  readonly penalty_alpha?: number;
  /**
   * Classifier-free guidance (Sanchez et al. 2023): the answer is moved away from the one to `negative_messages`, by log p' + scale · (log p - log p'). 1
   * (default) is none; above 1 `messages` count for more, below they count for less. Computes both chats, two rows a token.
   */
  readonly guidance_scale?: number;
  /** With `guidance_scale`: another chat, with another system message for instance. By default only the last token of the prompt. */
  readonly negative_messages?: readonly ChatCompletionMessage[];
  /**
   * DoLa (Chuang et al. 2024): what the last layer predicts is contrasted with what an early layer would, the one that differs most of
   * the model's first half ('low': for long answers), of its second half ('high': for short, factual ones), or of these layers. Temperature and the like choose
   * from the contrast, which log-probabilities are of. Goes with everything but beams.
   */
  readonly dola_layers?: 'low' | 'high' | readonly number[];
  /** Tokens of the answer at most; by default the rest of the context, or as many as it has positions where the chat may outgrow it. */
  readonly max_tokens?: number;
  /** Up to four strings; the answer ends before the first of them. */
  readonly stop?: string | readonly string[];
  /** Keep the tokens whose surprise is nearest to the entropy, until their probabilities reach this; 1 keeps all. */
  readonly typical_p?: number;
  /** Keep tokens whose logits are at most so many standard deviations below the best; 0 keeps all. */
  readonly top_n_sigma?: number;
  /** How often (0 … 1) all tokens at least as likely as `xtc_threshold` (0.1) are dropped, but for the least likely of them. */
  readonly xtc_probability?: number;
  readonly xtc_threshold?: number;
  /** The temperature moves within `temperature` ± this, with the entropy as a part of its maximum to the power `dynatemp_exponent` (1). */
  readonly dynatemp_range?: number;
  readonly dynatemp_exponent?: number;
  /** Mirostat 1 or 2 keeps the surprise near `mirostat_tau` bits (5); `mirostat_eta` (0.1) says how fast it learns. */
  readonly mirostat?: 0 | 1 | 2;
  readonly mirostat_tau?: number;
  readonly mirostat_eta?: number;
  readonly repetition_penalty?: number;
  readonly frequency_penalty?: number;
  readonly presence_penalty?: number;
  /** The penalties look at the last so many tokens; -1 (default): at all. */
  readonly repeat_last_n?: number;
  /** DRY: what would go on with a repetition of n tokens loses dry_multiplier · dry_base^(n - dry_allowed_length); 0 is off, 1.75 and 2 the others. */
  readonly dry_multiplier?: number;
  readonly dry_base?: number;
  readonly dry_allowed_length?: number;
  /** How many tokens back DRY looks; -1 (default): at all. */
  readonly dry_penalty_last_n?: number;
  /** No repetition goes past these; by default a line break, ":", '"' and "*". */
  readonly dry_sequence_breakers?: readonly string[];
  /** Which of the above there are, in order of application; by default all, in this one. */
  readonly samplers?: readonly SamplerName[];
  /** Token id → what is added to its logit. */
  readonly logit_bias?: Readonly<Record<string, number>>;
  readonly logprobs?: boolean;
  /** Also report the likeliest 0 … 20 tokens at each position; needs `logprobs`. */
  readonly top_logprobs?: number;
  /** An integer from -100 to 100, default 0: of answers that wait, those with a higher one begin sooner. */
  readonly priority?: number;
  /**
   * Guessing tokens ahead. Default: with the draft model, where the engine has one. `ngram`: look
   * up what followed the last words before, without any model. `length`: always so many tokens, 1 … 15; by default as many as pay.
   * `acceptance`, where tokens are sampled: 'coupled', by default with a `seed`: the answer is the seed's, with and without guesses;
   * 'rejection', by default without one: by rejection sampling, which accepts more guesses and keeps the distribution.
   */
  readonly speculation?:
    | false
    | {
        readonly ngram?: boolean;
        readonly draft?: boolean;
        readonly length?: number;
        readonly acceptance?: 'coupled' | 'rejection';
      };
  /**
   * What becomes of a chat that outgrows the context. 'error' (default): such a prompt is refused, and an answer ends with the context. 'slide':
   * the middle is dropped, over and over, so that a chat never ends; `sinks`: tokens at the very beginning that stay (default 128, at most an eighth
   * of the context, or the whole system message, at most half of it), `window`: newest tokens that stay each time (default half of the rest). Not with a search or guidance.
   */
  readonly context_overflow?: 'error' | 'slide' | { readonly sinks?: number; readonly window?: number };
  /**
   * What the answer must look like: it is chosen among the texts that fit, so it always does, unless it is cut off (`finish_reason` is then
   * 'length'). Say it in the messages too: the model does not know.
   */
  readonly response_format?: { readonly type: 'text' } | ResponseFormat;
  /** Ends the answer: the promise or the iterator rejects with `AbortedError`. */
  readonly signal?: AbortSignal;
}

export interface ChatCompletionParamsStreaming extends ChatCompletionParams {
  readonly stream: true;
}

export interface ChatCompletionParamsNonStreaming extends ChatCompletionParams {
  readonly stream?: false;
}

export interface TopLogprob {
  readonly token: string;
  readonly logprob: number;
  /** UTF-8; a token may be a part of a character. */
  readonly bytes: readonly number[];
}

export interface ChatLogprobs {
  readonly content: readonly (TopLogprob & { readonly top_logprobs: readonly TopLogprob[] })[];
}

export type FinishReason = 'stop' | 'length';

export interface Usage {
  /** Once, however many answers there are. */
  readonly prompt_tokens: number;
  /** Of all answers together. */
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Tokens of the prompt that were computed for an earlier message or another request: they cost no time. */
  readonly prompt_tokens_details: { readonly cached_tokens: number };
  /** Tokens that were guessed, those of them that were right, and the model's steps for the answer; where there was speculation. */
  readonly speculative?: {
    readonly drafted: number;
    readonly accepted: number;
    readonly steps: number;
    /** What the draft model failed with: the rest was chosen without it. */
    readonly failure?: string;
  };
  /** How often the context was full, and the tokens that the model no longer sees; where `context_overflow` lets a chat outgrow it. */
  readonly context_overflow?: { readonly shifts: number; readonly dropped_tokens: number };
  readonly time_to_first_token_s: number;
  /** Of the tokens that were computed. */
  readonly prefill_tokens_per_s: number;
  /** 0 for an answer of fewer than two tokens. */
  readonly decode_tokens_per_s: number;
}

export interface ChatChoice {
  readonly index: number;
  readonly message: { readonly role: 'assistant'; readonly content: string };
  readonly finish_reason: FinishReason;
  readonly logprobs: ChatLogprobs | null;
}

export interface ChatCompletion {
  readonly id: string;
  readonly object: 'chat.completion';
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
  /** As many as `n` asked for, in order. */
  readonly choices: readonly [ChatChoice, ...ChatChoice[]];
  readonly usage: Usage;
}

export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly [
    {
      /** Which of the answers goes on. */
      readonly index: number;
      readonly delta: { readonly role?: 'assistant'; readonly content?: string };
      /** Set in the last chunk of an answer. */
      readonly finish_reason: FinishReason | null;
      readonly logprobs: ChatLogprobs | null;
    },
  ];
  /** Only in the very last chunk. */
  readonly usage?: Usage;
}
