import type { Engine } from '../engine/engine';
import { InvalidOptionError } from '../errors';

/** The shortest window whose second half has a token with context. */
const MIN_WINDOW = 3;

export interface Perplexity {
  /** exp of the mean negative log-likelihood of the counted tokens. */
  readonly perplexity: number;
  /** How many tokens were counted. */
  readonly tokens: number;
}

export interface PerplexityOptions {
  /** Tokens of a window: each is scored from an empty cache. */
  readonly contextLength: number;
  /** Takes the place of each window's first token, where the model wants one there. */
  readonly bos?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (scored: number, total: number) => void;
}

/**
 * Perplexity of a text by the method of llama.cpp's tool, so that figures can be compared: the text is cut into windows of
 * `contextLength` tokens, and of each window the second half is counted, which had at least half a window of context. Where
 * llama.cpp drops the rest of the text after the last whole window, this counts the second half of that place too; a text of a single
 * window is counted from its second token on. Rejects with InvalidOptionError for a text of less than two tokens
 * or windows too short, or as `Engine.score` does.
 */
export async function measurePerplexity(
  engine: Pick<Engine, 'score'>,
  tokens: readonly number[],
  { contextLength, bos, signal, onProgress }: PerplexityOptions,
): Promise<Perplexity> {
  if (tokens.length < 2) throw new InvalidOptionError('text', `${tokens.length} tokens are too few to predict any`);
  const single = tokens.length <= contextLength;
  if (!single && contextLength < MIN_WINDOW) {
    throw new InvalidOptionError('contextLength', `${contextLength} is too short a window: at least ${MIN_WINDOW}`);
  }
  const half = single ? 0 : Math.floor(contextLength / 2);
  let sum = 0;
  let count = 0;
  for (let start = 0; start < tokens.length; start += contextLength) {
    const window = tokens.slice(start, start + contextLength);
    if (window.length - 1 <= half) break;
    const promptTokens = bos === undefined ? window : [bos, ...window.slice(1)];
    await engine.score({
      promptTokens,
      signal,
      onLogits: (position, logits) => {
        if (position < half || position + 1 >= window.length) return;
        sum += negativeLogLikelihood(logits, window[position + 1]);
        count++;
      },
    });
    onProgress?.(start + window.length, tokens.length);
  }
  return { perplexity: Math.exp(sum / count), tokens: count };
}

/** −ln softmax(logits)[token], in f64. */
function negativeLogLikelihood(logits: Float32Array, token: number): number {
  let max = Number.NEGATIVE_INFINITY;
  for (const value of logits) if (value > max) max = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - max);
  return max + Math.log(sum) - logits[token];
}
