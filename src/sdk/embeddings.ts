import { InvalidOptionError } from '../errors';
import type { Host } from '../worker/protocol';

export interface EmbeddingParams {
  /** One text or several; a list of token ids, or several, is taken as it stands: nothing is added. */
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  /** The name of the model that is loaded, if anything. */
  readonly model?: string;
  readonly encoding_format?: 'float';
  readonly signal?: AbortSignal;
}

export interface Embedding {
  readonly object: 'embedding';
  /** Place of the text in `input`. */
  readonly index: number;
  /** Of Euclidean length 1. */
  readonly embedding: readonly number[];
}

export interface EmbeddingResponse {
  readonly object: 'list';
  readonly data: readonly Embedding[];
  readonly model: string;
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}

const FIELDS: readonly string[] = ['input', 'model', 'encoding_format', 'signal'] satisfies (keyof EmbeddingParams)[];

/** `engine.embeddings`, in OpenAI's shape. */
export class EmbeddingsApi {
  readonly #host: () => Host;
  readonly #model: () => string;

  constructor(host: () => Host, model: () => string) {
    this.#host = host;
    this.#model = model;
  }

  /**
   * The vectors of texts, pooled as the model's file says and normalised.
   * Rejects with InvalidOptionError, ContextLengthError (a text is longer than the context), UnsupportedModelError (the model is no
   * encoder), AbortedError, DeviceLostError, WorkerLostError.
   */
  async create(params: EmbeddingParams): Promise<EmbeddingResponse> {
    const inputs = parseParams(params, this.#model());
    const model = this.#model();
    const { vectors, promptTokens } = await this.#host().embed({ inputs }, params.signal);
    return {
      object: 'list',
      data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: [...vector] })),
      model,
      usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
    };
  }
}

function parseParams(params: EmbeddingParams, model: string): (string | readonly number[])[] {
  if (typeof params !== 'object' || params === null) throw new InvalidOptionError('params', 'must be an object');
  for (const [field, value] of Object.entries(params)) {
    if (value === undefined || value === null || FIELDS.includes(field)) continue;
    throw new InvalidOptionError(
      field,
      field === 'dimensions' ? 'shortened vectors are not supported' : 'unknown option',
    );
  }
  const { signal } = params;
  if (params.model !== undefined && params.model !== null && params.model !== model) {
    throw new InvalidOptionError('model', `"${params.model}" is not loaded; the model here is "${model}"`);
  }
  if ((params.encoding_format ?? 'float') !== 'float') {
    throw new InvalidOptionError('encoding_format', 'only "float" is supported');
  }
  if (signal !== undefined && signal !== null && !(signal instanceof AbortSignal)) {
    throw new InvalidOptionError('signal', 'must be an AbortSignal');
  }
  return parseInput(params.input);
}

function parseInput(input: unknown): (string | readonly number[])[] {
  const list: readonly unknown[] = Array.isArray(input) && !isTokens(input) ? input : [input];
  if (list.length === 0) throw new InvalidOptionError('input', 'there is no text');
  return list.map((text, i) => {
    const field = list.length === 1 && !Array.isArray(input) ? 'input' : `input[${i}]`;
    if (isTokens(text)) return text;
    if (typeof text !== 'string') throw new InvalidOptionError(field, 'must be a text or a list of token ids');
    if (text === '') throw new InvalidOptionError(field, 'is an empty text');
    return text;
  });
}

function isTokens(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'number');
}
