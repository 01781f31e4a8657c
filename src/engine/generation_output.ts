import type { OverflowUsage } from './context_overflow';
import type { RequestMetrics } from './metrics';
import type { Sample } from './runner';
import type { SpeculationUsage } from './speculation/speculator';
import { TokenStream } from './token_stream';

/** All in milliseconds; 0 for what was never reached. */
export interface GenerationTimings {
  /** From the request to its first step. */
  readonly queuedMs: number;
  /** From its first step to its first token; in beam search to when the first ones are compared. */
  readonly prefillMs: number;
  /** From the request to its first token. */
  readonly timeToFirstTokenMs: number;
  /** From there to its last token. */
  readonly decodeMs: number;
  /** From the request to its end. */
  readonly totalMs: number;
}

export interface GenerationResult {
  /** 'stop': a stop token, or onToken said so, or the constraint leaves nothing more; 'length': maxTokens or the context is full; 'abort': the signal, or the reader left. */
  readonly finishReason: 'stop' | 'length' | 'abort';
  /** The token of `stopTokens` that ended the output. */
  readonly stopToken?: number;
  readonly promptTokens: readonly number[];
  readonly outputTokens: readonly number[];
  /** Tokens of the prompt whose keys and values were taken over from another request. */
  readonly cachedTokens: number;
  /** Where the request was speculated on. */
  readonly speculative?: SpeculationUsage;
  /** Where the request may go on beyond the context. */
  readonly overflow?: OverflowUsage;
  readonly timings: GenerationTimings;
}

/**
 * Tokens as they come. Generation pauses while too many of them are unread, and stops when the reader leaves (`break`).
 * Iteration throws what `finished` rejects with.
 */
export interface Generation extends AsyncIterable<Sample> {
  /** Settles when the last token has been computed; as generation waits for its reader, somebody has to read, or call `drain`. */
  readonly finished: Promise<GenerationResult>;
  /** Reads and drops what is left, for those who only want the result. */
  drain(): Promise<GenerationResult>;
}

/** What the caller has a say in, token by token; see ForkRequest. */
interface OutputRequest {
  readonly promptTokens: readonly number[];
  readonly stopTokens: ReadonlySet<number>;
  readonly onToken?: (sample: Sample) => 'continue' | 'stop';
}

/** What an answer's output needs from who computes it. */
export interface OutputHost {
  /** The reader has taken a token. */
  readonly onRead: () => void;
  /** The reader left before the end. */
  readonly onLeave: () => void;
  /** A token was handed out, `gapMs` after the one before it. */
  readonly onTokenOut: (gapMs: number | undefined) => void;
  readonly onFinish: (metrics: RequestMetrics) => void;
  /** What it cost, as far as it is known by now. */
  readonly usage: () => Pick<GenerationResult, 'cachedTokens' | 'speculative' | 'overflow'>;
}

/** The way out of an answer's tokens: stop tokens, the caller's word, the length, the reader; and what is measured on it. */
export class GenerationOutput {
  readonly generation: Generation;
  readonly #output: number[] = [];
  readonly #stream: TokenStream<Sample>;
  #settle!: { resolve: (result: GenerationResult) => void; reject: (error: unknown) => void };
  #ended = false;
  readonly #submittedAt = performance.now();
  #startedAt: number | undefined;
  #prefilledAt: number | undefined;
  #firstTokenAt: number | undefined;
  #lastTokenAt: number | undefined;

  /** `tokens`: what the model is given, to which the output is added. `maxOutput`: output tokens at most. */
  constructor(
    private readonly request: OutputRequest,
    private readonly tokens: number[],
    private readonly maxOutput: number,
    private readonly host: OutputHost,
  ) {
    const stream = new TokenStream<Sample>(host.onRead, () => {
      if (!this.#ended) host.onLeave();
    });
    this.#stream = stream;
    const finished = new Promise<GenerationResult>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever iterates sees the error there: that nobody looks at `finished` is no unhandled rejection.
    finished.catch(() => undefined);
    this.generation = {
      finished,
      drain: async () => {
        for await (const _ of stream);
        return finished;
      },
      [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](),
    };
  }

  /** Output tokens so far. */
  get length(): number {
    return this.#output.length;
  }

  /** Tokens that were handed out and not read. */
  get unread(): number {
    return this.#stream.unread;
  }

  get started(): boolean {
    return this.#startedAt !== undefined;
  }

  /** The first step is about to be submitted; what is said again later does not count. */
  start(): void {
    this.#startedAt ??= performance.now();
  }

  /** The prompt is computed. Where tokens are handed out only when all are known, decoding begins here and not with the first of them. */
  prefilled(): void {
    this.#prefilledAt ??= performance.now();
  }

  /** Hands a token out, after which nothing can follow if `complete`. True when the answer has ended with it, or was ended by who was told. */
  append(sample: Sample, complete = false): boolean {
    const now = performance.now();
    const before = this.#lastTokenAt;
    this.#prefilledAt ??= now;
    this.#firstTokenAt ??= now;
    this.#lastTokenAt = now;
    const { stopTokens, onToken } = this.request;
    if (stopTokens.has(sample.token)) {
      this.finish({ finishReason: 'stop', stopToken: sample.token });
      return true;
    }
    this.tokens.push(sample.token);
    this.#output.push(sample.token);
    this.host.onTokenOut(before === undefined ? undefined : now - before);
    let stop: boolean;
    try {
      stop = onToken?.(sample) === 'stop';
    } catch (error) {
      this.fail(error);
      return true;
    }
    // The callback may have aborted the request.
    if (this.#ended) return true;
    this.#stream.push(sample);
    const full = this.#output.length >= this.maxOutput;
    const ended = stop || complete;
    if (ended || full) this.finish({ finishReason: ended ? 'stop' : 'length' });
    return ended || full;
  }

  finish(reason: Pick<GenerationResult, 'finishReason' | 'stopToken'>): void {
    this.#ended = true;
    this.host.onFinish(this.#metrics(reason.finishReason));
    this.#settle.resolve({
      ...reason,
      promptTokens: this.request.promptTokens.slice(),
      outputTokens: this.#output.slice(),
      ...this.host.usage(),
      timings: this.#timings(),
    });
    this.#stream.end();
  }

  fail(error: unknown): void {
    this.#ended = true;
    this.host.onFinish(this.#metrics('error'));
    this.#settle.reject(error);
    this.#stream.fail(error);
  }

  #metrics(finishReason: RequestMetrics['finishReason']): RequestMetrics {
    const { queuedMs, timeToFirstTokenMs, decodeMs, totalMs } = this.#timings();
    const outputTokens = this.#output.length;
    const { cachedTokens, speculative } = this.host.usage();
    return {
      finishReason,
      promptTokens: this.request.promptTokens.length,
      cachedTokens,
      outputTokens,
      ...(speculative && { speculative }),
      queuedMs,
      ...(this.#firstTokenAt === undefined ? {} : { timeToFirstTokenMs }),
      ...(outputTokens < 2 ? {} : { timePerOutputTokenMs: decodeMs / (outputTokens - 1) }),
      endToEndMs: totalMs,
    };
  }

  #timings(): GenerationTimings {
    const end = performance.now();
    const submitted = this.#submittedAt;
    const started = this.#startedAt;
    const first = this.#firstTokenAt;
    const prefilled = this.#prefilledAt;
    return {
      queuedMs: (started ?? end) - submitted,
      prefillMs: started === undefined || prefilled === undefined ? 0 : prefilled - started,
      timeToFirstTokenMs: first === undefined ? 0 : first - submitted,
      decodeMs: prefilled === undefined ? 0 : (this.#lastTokenAt ?? prefilled) - prefilled,
      totalMs: end - submitted,
    };
  }
}
