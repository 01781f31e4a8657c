import type { Engine } from '../engine/engine';
import type { Tokenizer } from '../tokenizer/tokenizer';
import type { Embeddings, EmbedRequest } from './protocol';

/** The vectors of texts, or of tokens that are given: see embedTokens. */
export async function embedTexts(
  { tokenizer, engine }: { readonly engine: Engine; readonly tokenizer: Tokenizer },
  { inputs }: EmbedRequest,
  signal?: AbortSignal,
): Promise<Embeddings> {
  const prompts = inputs.map((input) =>
    typeof input === 'string' ? tokenizer.encode(input, { special: false, bos: 'auto' }) : input,
  );
  return await embedTokens(engine, prompts, signal);
}

/**
 * The vectors of token lists, each of Euclidean length 1. Lists run together as far as a step has room.
 * Rejects with ContextLengthError, UnsupportedModelError, AbortedError or DeviceLostError; then all lists end.
 */
export async function embedTokens(
  engine: Engine,
  prompts: readonly (readonly number[])[],
  signal?: AbortSignal,
): Promise<Embeddings> {
  const failed = new AbortController();
  const ended = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  try {
    const vectors = await Promise.all(prompts.map((promptTokens) => engine.embed({ promptTokens, signal: ended })));
    return {
      vectors: vectors.map(normalised),
      promptTokens: prompts.reduce((sum, tokens) => sum + tokens.length, 0),
    };
  } finally {
    failed.abort();
  }
}

/** v / |v|, summed in f64; a zero vector stays one. */
function normalised(vector: Float32Array): Float32Array {
  let squares = 0;
  for (const value of vector) squares += value * value;
  const length = Math.sqrt(squares);
  return length > 0 ? vector.map((value) => value / length) : vector;
}
