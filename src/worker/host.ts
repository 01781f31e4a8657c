import { DisposedError, InternalError, throwIfAborted, WebGpuUnavailableError } from '../errors';
import { loadModel } from '../model/load_model';
import type { ByteSource } from '../storage/byte_source';
import { SessionStore, type StoredSession } from '../storage/store/session_store';
import { ActiveModel } from './active_model';
import { answerChat } from './answer_chat';
import { embedTexts } from './embed_texts';
import { withSource } from './open_source';
import { countParameters } from './parameters';
import type {
  Backend,
  ChatEvent,
  ChatMessage,
  ChatRequest,
  Embeddings,
  EmbedRequest,
  Host,
  HostMetrics,
  LoadHooks,
  LoadSettings,
  MetricsOptions,
  ModelInfo,
  ModelSource,
} from './protocol';
import { loadChat, saveChat } from './saved_chat';
import { tuneOptions } from './tune_options';

/** Above this the reference executor is too slow to be of use, and `auto` does not fall back to it. */
const MAX_REFERENCE_PARAMETERS = 20_000_000;

/**
 * Runs one model in this thread: the worker's side of the SDK, and what a terminal or a server uses directly.
 *
 * A new model is loaded completely before it takes the place of the old one, so a file that is broken or does not fit leaves
 * the old one answering. The price is that both are in memory for a moment: where that is too much, the new one is refused
 * with `OutOfMemoryError`, and `dispose()` makes room. Answers that are under way end on the model they began with.
 */
export class EngineHost implements Host {
  readonly #gpu: GPU | undefined;
  #active: ActiveModel | undefined;
  #loading: Promise<unknown> = Promise.resolve();
  #disposed = false;

  /** `gpu` defaults to `navigator.gpu`. */
  constructor(options: { readonly gpu?: GPU } = {}) {
    this.#gpu = options.gpu;
  }

  /** Loads wait for each other. Rejects with whatever is wrong with the file, the settings or the device; see `loadModel`. */
  load(source: ModelSource | ByteSource, settings: LoadSettings, hooks: LoadHooks = {}): Promise<ModelInfo> {
    const load = this.#loading.then(() => this.#load(source, settings, hooks));
    this.#loading = load.catch(() => undefined);
    return load;
  }

  async *chat(request: ChatRequest, signal?: AbortSignal): AsyncGenerator<ChatEvent, undefined> {
    const { model, release } = this.#use();
    try {
      yield* answerChat(model, request, signal);
    } finally {
      release();
    }
    return undefined;
  }

  async embed(request: EmbedRequest, signal?: AbortSignal): Promise<Embeddings> {
    const { model, release } = this.#use();
    try {
      return await embedTexts(model, request, signal);
    } finally {
      release();
    }
  }

  async saveChat(messages: readonly ChatMessage[]): Promise<Uint8Array> {
    const { model, release } = this.#use();
    try {
      return await saveChat(model, messages);
    } finally {
      release();
    }
  }

  async storeChat(messages: readonly ChatMessage[], name: string): Promise<StoredSession> {
    const { model, release } = this.#use();
    try {
      const store = await SessionStore.require();
      return await store.write(name, model.info.model, await saveChat(model, messages));
    } finally {
      release();
    }
  }

  async loadChat(saved: Uint8Array | string): Promise<readonly ChatMessage[]> {
    const { model, release } = this.#use();
    try {
      return await loadChat(
        model,
        typeof saved === 'string' ? await (await SessionStore.require()).read(saved) : saved,
      );
    } finally {
      release();
    }
  }

  async metrics({ bandwidth = false }: MetricsOptions = {}): Promise<HostMetrics> {
    const { model, release } = this.#use();
    try {
      const bandwidthBytesPerSecond = bandwidth ? await model.bandwidth() : undefined;
      const { metrics } = model.engine;
      if (bandwidthBytesPerSecond === undefined) return metrics;
      const { memoryBytesPerSecond } = metrics;
      if (memoryBytesPerSecond === undefined) return { ...metrics, bandwidthBytesPerSecond };
      const bandwidthShare = memoryBytesPerSecond / bandwidthBytesPerSecond;
      return { ...metrics, bandwidthBytesPerSecond, bandwidthShare };
    } finally {
      release();
    }
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#loading;
    this.#active?.dispose();
    this.#active = undefined;
  }

  async #load(source: ModelSource | ByteSource, settings: LoadSettings, hooks: LoadHooks): Promise<ModelInfo> {
    this.#checkOpen();
    throwIfAborted(hooks.signal);
    const model = await this.#loadOn(source, settings, hooks);
    if (this.#disposed || hooks.signal?.aborted) {
      model.dispose();
      throwIfAborted(hooks.signal);
      this.#checkOpen();
    }
    this.#active?.retire();
    this.#active = model;
    return model.info;
  }

  async #loadOn(source: ModelSource | ByteSource, settings: LoadSettings, hooks: LoadHooks): Promise<ActiveModel> {
    const { backend, tune, draft, maxQueued, ...rest } = settings;
    const load = async (backend: Backend) => {
      const options = { ...rest, backend, gpu: this.#gpu, compileInBackground: true, tune: tuneOptions(tune) };
      const open = (hooks: LoadHooks, from = source) =>
        withSource(from, hooks, (origin, keep) => loadModel(origin, { ...options, ...hooks, beforeWeights: keep }));
      const { onMetrics, ...loading } = hooks;
      const loaded = await open(loading);
      try {
        const openDraft = draft && ((hooks: LoadHooks) => open(hooks, draft));
        return await ActiveModel.create(loaded, {
          backend,
          reload: () => open({}),
          draft: await openDraft?.({ signal: hooks.signal }),
          reloadDraft: openDraft && (() => openDraft({})),
          maxQueued,
          onMetrics,
        });
      } catch (error) {
        loaded.dispose();
        throw error;
      }
    };
    if (backend !== 'auto') return await load(backend);
    try {
      return await load('webgpu');
    } catch (error) {
      if (!(error instanceof WebGpuUnavailableError)) throw error;
      const parameters = await withSource(source, hooks, (origin) => countParameters(origin, hooks.signal));
      if (parameters <= MAX_REFERENCE_PARAMETERS) return await load('reference');
      throw new WebGpuUnavailableError(
        `${error.message}; with ${parameters} parameters this model cannot run without`,
        {
          cause: error,
        },
      );
    }
  }

  #use(): { readonly model: ActiveModel; readonly release: () => void } {
    this.#checkOpen();
    if (!this.#active) throw new InternalError('a request before any model was loaded');
    return { model: this.#active, release: this.#active.use() };
  }

  #checkOpen(): void {
    if (this.#disposed) throw new DisposedError('the engine was disposed');
  }
}
