import type { MetricsEvent } from '../engine/metrics';
import { DisposedError, InvalidOptionError } from '../errors';
import { QUANTIZE_FORMATS } from '../formats/quantize_on_load';
import type { MaskableFeature } from '../gpu/capabilities';
import { ACTIVATION_TYPES, type ActivationType, KV_TYPES, type KvType } from '../ops/op';
import type {
  ChatMessage,
  Host,
  HostMetrics,
  LoadProgress,
  LoadSettings,
  MetricsOptions,
  ModelInfo,
} from '../worker/protocol';
import { RemoteHost } from '../worker/remote_host';
import { ChatCompletions } from './completions';
import { EmbeddingsApi } from './embeddings';
import { type ModelInput, type RepositoryOptions, toModelSource } from './model_input';
import { ChatSession, requireSaved } from './session';

export interface LoadOptions extends RepositoryOptions {
  /** `auto` (default): WebGPU; where there is none, plain JavaScript if the model has at most 20 M parameters. */
  readonly backend?: 'auto' | 'webgpu' | 'reference';
  /** Positions of prompt and answer together; by default what the model was trained for, at most 4096. */
  readonly contextLength?: number;
  /** What the KV cache holds; default f16. q8_0 and q4_0 take about half and a quarter of that, and need heads that are multiples of 32. */
  readonly kvType?: KvType;
  /** What lies between kernels; default f32. f16 is faster on many GPUs and less exact, and needs the feature shader-f16. */
  readonly activationType?: ActivationType;
  /** Optional GPU features to do without, for comparing and for drivers that get them wrong. */
  readonly without?: readonly MaskableFeature[];
  /** Turns float weights (F32, F16, BF16) into this format while they are loaded. */
  readonly quantize?: 'q8_0' | 'q4_0';
  /** A smaller model with the same vocabulary: it guesses tokens ahead, which the model verifies several at a time. Answers stay the same. */
  readonly draft?: ModelInput;
  /**
   * Requests that may wait while as many as can run at once are running, by default any number: one more rejects with `QueueFullError`
   * at once, rather than late.
   */
  readonly maxQueued?: number;
  /**
   * Whether the fastest variants of the kernels are measured, about a second at the first load on a machine; by default yes, except on
   * software adapters.
   */
  readonly tune?: boolean;
  readonly onProgress?: (progress: LoadProgress) => void;
  /**
   * Called after each step of the model (rows, time, pages in use, now and then bytes) and at the end of each request (its latencies, cached
   * and guessed tokens): what `metrics()` adds up. For as long as this model answers.
   */
  readonly onMetrics?: (event: MetricsEvent) => void;
  /** Ends the load: it rejects with `AbortedError`. */
  readonly signal?: AbortSignal;
}

export interface EngineOptions extends LoadOptions {
  readonly model: ModelInput;
  /** Default: a worker of our own where there are workers. `false` runs in this thread; a function makes the worker. */
  readonly worker?: boolean | (() => Worker);
}

const LOAD_FIELDS: readonly string[] = [
  'backend',
  'contextLength',
  'kvType',
  'activationType',
  'without',
  'quantize',
  'draft',
  'maxQueued',
  'file',
  'revision',
  'token',
  'hub',
  'tune',
  'onProgress',
  'onMetrics',
  'signal',
] satisfies (keyof LoadOptions)[];
const BACKENDS: readonly unknown[] = ['auto', 'webgpu', 'reference'];
const FEATURES: readonly unknown[] = [
  'shader-f16',
  'subgroups',
  'dot4',
  'subgroup-matrix',
  'timestamp-query',
] satisfies MaskableFeature[];

/** A model that answers; made by `createEngine`. */
export class TesseraEngine {
  readonly chat: { readonly completions: ChatCompletions };
  readonly embeddings: EmbeddingsApi;
  readonly #host: Host;
  /** The host, unless it was disposed of. */
  readonly #open: () => Host;
  #info: ModelInfo;
  #disposed = false;

  constructor(host: Host, info: ModelInfo) {
    this.#host = host;
    this.#info = info;
    this.#open = () => {
      if (this.#disposed) throw new DisposedError('the engine was disposed');
      return this.#host;
    };
    this.chat = { completions: new ChatCompletions(this.#open, () => this.#info.model) };
    this.embeddings = new EmbeddingsApi(this.#open, () => this.#info.model);
  }

  /** The model that answers, where it runs, and what it occupies. */
  get info(): ModelInfo {
    return this.#info;
  }

  /** A conversation that remembers its messages; `messages`: what it begins with, a system prompt for example. */
  createSession(options: { readonly messages?: readonly ChatMessage[] } = {}): ChatSession {
    return new ChatSession(this.chat.completions, this.#open, options.messages);
  }

  /**
   * A session from what `ChatSession.save` gave, or from the name that it was stored under; what was computed of it is not computed again.
   * Rejects with InvalidFileError for broken bytes, InvalidOptionError for those of another model or a name that is not there.
   */
  async loadSession(saved: Uint8Array | ArrayBuffer | string): Promise<ChatSession> {
    const messages = await this.#open().loadChat(requireSaved(saved));
    return this.createSession({ messages });
  }

  /**
   * Requests, tokens, latencies as percentiles, throughput, cache hits, accepted guesses, bytes a second and pages in use, since the model was
   * loaded. `bandwidth` measures the GPU once, which takes about a second, and gives the share of its bandwidth that decoding uses.
   */
  async metrics(options: MetricsOptions = {}): Promise<HostMetrics> {
    return await this.#open().metrics(options);
  }

  /** Switches to another model. When it cannot be loaded, the promise rejects and the previous one goes on answering. */
  async load(model: ModelInput, options: LoadOptions = {}): Promise<ModelInfo> {
    if (this.#disposed) throw new DisposedError('the engine was disposed');
    this.#info = await loadInto(this.#host, model, options);
    return this.#info;
  }

  /** Ends the worker and frees all memory. Answers that are under way reject with `DisposedError`. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#host.dispose();
  }
}

/**
 * Loads a model and makes it ready to answer. A repository's files are kept in the browser, where there is room.
 * Rejects with InvalidFileError or UnsupportedModelError (the file), SourceError (its bytes), InvalidOptionError,
 * OutOfMemoryError, WebGpuUnavailableError, WorkerLostError or AbortedError.
 */
export async function createEngine(options: EngineOptions): Promise<TesseraEngine> {
  const { model, worker, ...load } = options;
  const host = await createHost(worker);
  try {
    return new TesseraEngine(host, await loadInto(host, model, load));
  } catch (error) {
    await host.dispose();
    throw error;
  }
}

async function createHost(worker: EngineOptions['worker']): Promise<Host> {
  if (typeof worker === 'function') return new RemoteHost(worker);
  if (worker !== undefined && typeof worker !== 'boolean') {
    throw new InvalidOptionError('worker', 'must be a boolean or a function that makes a Worker');
  }
  const hasWorkers = typeof Worker === 'function';
  if (worker && !hasWorkers) throw new InvalidOptionError('worker', 'there are no workers here; use worker: false');
  if (worker ?? hasWorkers) return new RemoteHost(startWorker);
  // Only now: a page that uses a worker does not load the engine twice.
  const { EngineHost } = await import('../worker/host');
  return new EngineHost();
}

/** Written so that bundlers see the worker's file. */
function startWorker(): Worker {
  return new Worker(new URL('../worker/entry.ts', import.meta.url), { type: 'module', name: 'tessera' });
}

async function loadInto(host: Host, model: ModelInput, options: LoadOptions): Promise<ModelInfo> {
  const { signal, onProgress, onMetrics, file, revision, token, hub } = options;
  const remote = host instanceof RemoteHost;
  const draft = options.draft === undefined ? undefined : toModelSource(options.draft, remote);
  const settings = { ...parseSettings(options), draft };
  const source = toModelSource(model, remote, { file, revision, token, hub });
  // Only a page may ask that downloads are not thrown away when space gets short.
  if (source.kind === 'repository') void globalThis.navigator?.storage?.persist?.().catch(() => undefined);
  return await host.load(source, settings, { signal, onProgress, onMetrics: onMetrics && listener(onMetrics) });
}

/** As the platform treats its listeners: one that throws is reported, and stops nobody else. */
function listener(onMetrics: (event: MetricsEvent) => void): (event: MetricsEvent) => void {
  return (event) => {
    try {
      onMetrics(event);
    } catch (error) {
      (globalThis.reportError ?? console.error)(error);
    }
  };
}

function parseSettings(options: LoadOptions): LoadSettings {
  for (const [field, value] of Object.entries(options)) {
    if (value !== undefined && !LOAD_FIELDS.includes(field)) throw new InvalidOptionError(field, 'unknown option');
  }
  const { backend = 'auto', contextLength, kvType, activationType, without, quantize, tune, maxQueued } = options;
  if (!BACKENDS.includes(backend)) throw new InvalidOptionError('backend', `must be one of ${BACKENDS.join(', ')}`);
  if (contextLength !== undefined && (!Number.isSafeInteger(contextLength) || contextLength < 1)) {
    throw new InvalidOptionError('contextLength', `must be a positive integer, not ${contextLength}`);
  }
  if (kvType !== undefined && !KV_TYPES.includes(kvType)) {
    throw new InvalidOptionError('kvType', `must be one of ${KV_TYPES.join(', ')}`);
  }
  if (activationType !== undefined && !ACTIVATION_TYPES.includes(activationType)) {
    throw new InvalidOptionError('activationType', `must be one of ${ACTIVATION_TYPES.join(', ')}`);
  }
  for (const feature of without ?? []) {
    if (!FEATURES.includes(feature)) {
      throw new InvalidOptionError('without', `"${feature}" is no feature; there are ${FEATURES.join(', ')}`);
    }
  }
  if (quantize !== undefined && !QUANTIZE_FORMATS.includes(quantize)) {
    throw new InvalidOptionError('quantize', `must be one of ${QUANTIZE_FORMATS.join(', ')}`);
  }
  if (maxQueued !== undefined && (!Number.isSafeInteger(maxQueued) || maxQueued < 0)) {
    throw new InvalidOptionError('maxQueued', `must be an integer of at least 0, not ${maxQueued}`);
  }
  if (options.onMetrics !== undefined && typeof options.onMetrics !== 'function')
    throw new InvalidOptionError('onMetrics', 'must be a function');
  if (tune !== undefined && typeof tune !== 'boolean') throw new InvalidOptionError('tune', 'must be true or false');
  return { backend, contextLength, kvType, activationType, without, quantize, tune, maxQueued };
}
