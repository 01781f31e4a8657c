import {
  AbortedError,
  ContextLengthError,
  DeviceLostError,
  DisposedError,
  InvalidOptionError,
  QueueFullError,
  throwIfAborted,
  UnsupportedModelError,
} from '../errors';
import { MAX_CHOICES, seedOfChoice } from './choices';
import { ContextOverflow } from './context_overflow';
import { layersToContrast } from './dola';
import { EmbeddingSequence, type EmbedRequest } from './embedding';
import { checkEngineOptions, DEFAULT_SWAP_BYTES, type EngineOptions } from './engine_options';
import { type ForkRequest, type GenerateRequest, GeneratingSequence } from './generation';
import type { Generation } from './generation_output';
import { type EngineMetrics, MetricsCollector, type RequestMetrics } from './metrics';
import type { Purpose } from './purpose';
import { checkPrompt, checkRequest } from './request_checks';
import type { PageStore, Runner } from './runner';
import type { SavedPrefix } from './saved_prefix';
import { Scheduler } from './scheduler';
import { type ScoreRequest, ScoringSequence } from './scoring';
import type { Sequence } from './sequence';
import { Speculators } from './speculation/speculators';
import { StepBudget } from './step_budget';
import { StepLoop } from './step_loop';
import type { ChoicesRequest, StartStrategy, StrategyHost } from './strategies/host';

/** What answers to one prompt do not share. */
type OwnField = 'onToken' | 'constraint';

type EngineState =
  | { readonly kind: 'ready' }
  | { readonly kind: 'recovering' }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'disposed' };

/**
 * The serving core: any number of requests at once on one runner. Pure bookkeeping; the runner stays its owner's.
 */
export class Engine {
  readonly #options: EngineOptions;
  readonly #maxUnread: number;
  readonly #sequenceOf = new WeakMap<Generation, GeneratingSequence>();
  /** Everything that has not ended, in order of arrival. */
  readonly #live = new Set<Sequence>();
  readonly #metrics = new MetricsCollector();
  readonly #speculators: Speculators;
  #loop: StepLoop;
  #state: EngineState = { kind: 'ready' };
  #nextId = 0;

  constructor(runner: Runner, options: EngineOptions = {}) {
    checkEngineOptions(options);
    this.#options = options;
    this.#maxUnread = options.maxUnread ?? 64;
    this.#speculators = new Speculators(options.draft, runner.limits);
    this.#loop = this.#startLoop(runner);
  }

  /** Longest sequence, prompt and output together, in tokens. */
  get contextLength(): number {
    return this.#loop.scheduler.contextLength;
  }

  get vocabSize(): number {
    return this.#loop.scheduler.limits.vocabSize;
  }

  get pagesInUse(): number {
    return this.#loop.scheduler.pagesInUse;
  }

  /** What the engine has done so far, and how long it took; see `onStep` and `onRequest` for the same as events. */
  get metrics(): EngineMetrics {
    const { preemptions, pagesInUse, slidingPagesInUse, waiting, running, limits, swap } = this.#loop.scheduler;
    const sliding = limits.sliding && { pagesInUse: slidingPagesInUse, numPages: limits.sliding.numPages };
    const swapped = { out: swap?.outs ?? 0, in: swap?.ins ?? 0, bytes: swap?.bytes ?? 0 };
    return this.#metrics.snapshot({
      preemptions,
      swapped,
      pagesInUse,
      waiting,
      running,
      numPages: limits.numPages,
      sliding,
    });
  }

  /**
   * Starts a request. Throws InvalidOptionError, ContextLengthError when the prompt leaves no room for a token, QueueFullError,
   * DisposedError, or the error of a runner that failed. An abort is no error here: the result says so.
   */
  generate(request: GenerateRequest): Generation {
    return this.#generate(request);
  }

  /**
   * `count` answers to one prompt, each with a seed of its own. The prompt is computed once, for the first of them; the others begin when
   * it is there and share its pages. With a strategy they are its best ones. `own`: what each has for itself; a constraint
   * goes without a strategy. Throws like `generate`, InvalidOptionError for what the strategy cannot be combined with, and UnsupportedModelError.
   */
  generateChoices(
    request: ChoicesRequest,
    count: number,
    own?: (index: number) => Pick<GenerateRequest, OwnField>,
  ): readonly Generation[] {
    if (!Number.isSafeInteger(count) || count < 1 || count > MAX_CHOICES) {
      throw new InvalidOptionError('n', `${count} is not an integer from 1 to ${MAX_CHOICES}`);
    }
    if (request.strategy) {
      if (request.contextOverflow)
        throw new InvalidOptionError('context_overflow', 'does not go with a search or with guidance');
      if (own?.(0).constraint)
        throw new InvalidOptionError('response_format', 'does not go with a search or with guidance');
      return this.#startStrategy(request.strategy, request, count, (index) => own?.(index).onToken);
    }
    const generations: Generation[] = [];
    for (let index = 0; index < count; index++) {
      const sampling = { ...request.sampling, seed: seedOfChoice(request.sampling.seed, index) };
      const first = generations.length > 0 ? this.#sequenceOf.get(generations[0]) : undefined;
      generations.push(this.#generate({ ...request, sampling, ...own?.(index) }, first, 'prompt'));
    }
    return generations;
  }

  /**
   * A new request whose prompt is all that `parent` has so far, prompt and output (as far as the model still sees it). Where the parent is still under way its pages
   * are shared, so nothing is computed twice. Throws like `generate`.
   */
  fork(parent: Generation, request: ForkRequest): Generation {
    const sequence = this.#sequenceOf.get(parent);
    if (!sequence) throw new InvalidOptionError('parent', 'the generation to fork belongs to another engine');
    return this.#generate({ ...request, promptTokens: sequence.seenTokens() }, sequence);
  }

  /** Computes the logits of every position of a prompt. Rejects like `generate`, and with AbortedError or what onLogits throws. */
  async score(request: ScoreRequest): Promise<void> {
    throwIfAborted(request.signal);
    this.#checkPrompt(request.promptTokens, 'tokens');
    const sequence = new ScoringSequence(this.#nextId++, request);
    this.#add(sequence, request.signal, () => this.#abort(sequence, request.signal));
    await sequence.finishedScoring;
  }

  /**
   * The vector of a text under an encoder, as its pooling leaves it (not normalised). Rejects like `score`; with ContextLengthError
   * for a text that no step has the rows for, and with UnsupportedModelError when the model is no encoder.
   */
  async embed(request: EmbedRequest): Promise<Float32Array> {
    throwIfAborted(request.signal);
    this.#checkPrompt(request.promptTokens, 'a vector');
    const { maxRows } = this.#loop.scheduler;
    if (request.promptTokens.length > maxRows) throw new ContextLengthError(request.promptTokens.length, maxRows);
    const sequence = new EmbeddingSequence(this.#nextId++, request);
    this.#add(sequence, request.signal, () => this.#abort(sequence, request.signal));
    return sequence.vector;
  }

  /**
   * A beginning as bytes: `tokens`, a note, and of their keys and values what the prefix cache has. Bound to the model and the type of its cache.
   * Rejects with UnsupportedModelError where pages cannot be taken out, and with the runner's errors.
   */
  async savePrefix(tokens: readonly number[], note = ''): Promise<Uint8Array<ArrayBuffer>> {
    this.#checkPrompt(tokens, 'tokens');
    await this.#loop.submitted();
    try {
      return await this.#loop.scheduler.store.save(tokens, note, this.#requirePages());
    } finally {
      // Others may have waited for pages that were being read.
      this.#loop.wake();
    }
  }

  /** Brings what `savePrefix` gave back into the prefix cache. Rejects with InvalidFileError, InvalidOptionError or UnsupportedModelError. */
  async loadPrefix(bytes: Uint8Array): Promise<SavedPrefix> {
    this.#checkOpen();
    return await this.#loop.scheduler.store.load(bytes, this.vocabSize, this.#requirePages());
  }

  /**
   * Goes on with another runner of the same model, before or after the old one failed. Everything under way is computed again from
   * its tokens and continues with none missing and none twice; what does not fit the new limits ends with ContextLengthError.
   * Not to be called from onToken, onLogits or onStep.
   */
  replaceRunner(runner: Runner): void {
    if (this.#state.kind === 'disposed') throw new DisposedError('the engine was disposed');
    this.#loop.stop();
    this.#loop = this.#startLoop(runner);
    this.#state = { kind: 'ready' };
    for (const sequence of this.#live) {
      sequence.replay();
      try {
        this.#loop.scheduler.add(sequence);
      } catch (error) {
        sequence.fail(error);
        this.#end(sequence);
      }
    }
    this.#loop.wake();
  }

  /** Another runner of the draft model, whose device was lost: new requests have drafts again. Throws InvalidOptionError. */
  replaceDraft(runner: Runner): void {
    this.#speculators.replaceDraft(runner);
  }

  /** Ends everything under way with DisposedError. The runner is left to its owner. */
  dispose(): void {
    if (this.#state.kind === 'disposed') return;
    this.#loop.stop();
    this.#state = { kind: 'disposed' };
    this.#failAll(new DisposedError('the engine was disposed'));
  }

  /** Throws InternalError when a page or slot is lost or shared wrongly. */
  checkIntegrity(): void {
    this.#loop.scheduler.checkIntegrity();
  }

  /** Output tokens that the context has room for. */
  #checkRequest(request: ChoicesRequest): number {
    this.#checkPrompt(request.promptTokens, 'tokens');
    return checkRequest(request, this.contextLength);
  }

  /** `waitFor`: it begins only when `parent` has computed the prompt that both have. */
  #generate(request: GenerateRequest, parent?: GeneratingSequence, waitFor?: 'prompt'): Generation {
    const maxOutput = this.#checkRequest(request);
    const { signal, contextOverflow } = request;
    const { limits } = this.#loop.scheduler;
    const overflow = contextOverflow && new ContextOverflow(contextOverflow, this.contextLength);
    const abort = (): void => {
      sequence.abort();
      this.#end(sequence);
    };
    const id = this.#nextId++;
    const { onReady } = this.#observers;
    const sequence: GeneratingSequence = new GeneratingSequence(
      id,
      request,
      {
        maxUnread: this.#maxUnread,
        maxOutput,
        overflow,
        speculator: this.#speculators.create(id, request, limits, onReady),
        dola: request.dola && layersToContrast(request.dola, limits.earlyExits),
        promptFrom: waitFor && !limits.recurrent ? parent : undefined,
        ...this.#observers,
        onLeave: abort,
      },
      parent,
    );
    this.#sequenceOf.set(sequence.generation, sequence);
    this.#add(sequence, signal, abort);
    return sequence.generation;
  }

  #startStrategy(
    start: StartStrategy,
    request: ChoicesRequest,
    count: number,
    onToken?: (index: number) => GenerateRequest['onToken'],
  ): readonly Generation[] {
    const { signal } = request;
    const live = new Set<Sequence>();
    const abort = (): void => started.abort();
    const host: StrategyHost = {
      maxOutput: this.#checkRequest(request),
      maxUnread: this.#maxUnread,
      takeIds: (count) => Array.from({ length: count }, () => this.#nextId++),
      add: (sequence) => {
        live.add(sequence);
        this.#add(sequence);
      },
      branch: (child, parent) => this.#loop.scheduler.branch(child, parent),
      end: (sequence) => {
        live.delete(sequence);
        if (live.size === 0) signal?.removeEventListener('abort', abort);
        this.#end(sequence);
      },
      ...this.#observers,
    };
    const { limits } = this.#loop.scheduler;
    const started = start(
      { request, count, limits: { ...limits, maxRows: this.#loop.scheduler.maxRows }, onToken },
      host,
    );
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
    return started.generations;
  }

  get #observers() {
    return {
      onReady: () => this.#loop.wake(),
      onTokenOut: (gapMs: number | undefined) => this.#metrics.token(gapMs),
      onFinish: (metrics: RequestMetrics) => {
        this.#metrics.request(metrics);
        this.#options.onRequest?.(metrics);
      },
    };
  }

  #requirePages(): PageStore {
    const { pages } = this.#loop.runner;
    if (!pages) throw new UnsupportedModelError('conversations cannot be saved on this backend');
    return pages;
  }

  #checkOpen(): void {
    if (this.#state.kind === 'disposed') throw new DisposedError('the engine was disposed');
    if (this.#state.kind === 'failed') throw this.#state.error;
  }

  #checkPrompt(promptTokens: readonly number[], wanted: Purpose): void {
    this.#checkOpen();
    checkPrompt(promptTokens, wanted, this.#loop.scheduler.limits);
  }

  #add(sequence: Sequence, signal?: AbortSignal, abort: () => void = () => {}): void {
    const { maxQueued = Number.POSITIVE_INFINITY } = this.#options;
    const { scheduler } = this.#loop;
    if (this.#live.size >= scheduler.limits.maxSlots + maxQueued) throw new QueueFullError(this.#live.size, maxQueued);
    scheduler.add(sequence);
    this.#live.add(sequence);
    signal?.addEventListener('abort', abort);
    sequence.onEnd = () => {
      this.#live.delete(sequence);
      signal?.removeEventListener('abort', abort);
    };
    if (signal?.aborted) abort();
    else this.#loop.wake();
  }

  #abort(sequence: Sequence, signal: AbortSignal | undefined): void {
    sequence.fail(new AbortedError('aborted', { cause: signal?.reason }));
    this.#end(sequence);
  }

  #end(sequence: Sequence): void {
    this.#loop.scheduler.remove(sequence);
    // Others may have waited for its pages.
    this.#loop.wake();
  }

  #failAll(error: unknown): void {
    for (const sequence of this.#live) {
      sequence.fail(error);
      this.#end(sequence);
    }
  }

  #startLoop(runner: Runner): StepLoop {
    const { rowBudget, stepBudgetMs, maxStepsInFlight = 2, submitBudgetMs, prefixCache } = this.#options;
    const { preemption = 'auto', swapBytes = DEFAULT_SWAP_BYTES } = this.#options;
    const swap = runner.pages && {
      store: runner.pages,
      mode: preemption,
      maxBytes: swapBytes,
      onSettled: () => this.#loop.wake(),
    };
    const stepBudget = new StepBudget(stepBudgetMs);
    const scheduler = new Scheduler(runner.limits, { rowBudget, stepBudget, prefixCache, swap });
    return new StepLoop(runner, scheduler, {
      maxStepsInFlight,
      submitBudgetMs,
      onStep: (metrics) => {
        this.#metrics.step(metrics, runner.limits);
        stepBudget.observe(metrics.prefillRows, metrics.ms);
        if (metrics.decodeRows === 0) scheduler.swap?.observePrefill(metrics.prefillRows, metrics.ms);
        if (metrics.prefillRows === 0) this.#speculators.costs.observe(metrics.decodeRows, metrics.ms / metrics.repeat);
        this.#options.onStep?.(metrics);
      },
      onFailure: (error) => void this.#onFailure(error),
    });
  }

  async #onFailure(error: unknown): Promise<void> {
    const failed = this.#loop;
    try {
      if (!this.#options.recover || !(error instanceof DeviceLostError)) throw error;
      this.#state = { kind: 'recovering' };
      const runner = await this.#options.recover(error);
      // Meanwhile the engine may have been disposed, or given a runner by hand.
      if (this.#loop === failed && !this.#disposed) this.replaceRunner(runner);
    } catch (error) {
      if (this.#loop !== failed || this.#disposed) return;
      this.#state = { kind: 'failed', error };
      this.#failAll(error);
    }
  }

  get #disposed(): boolean {
    return this.#state.kind === 'disposed';
  }
}
