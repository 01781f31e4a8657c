import { Engine } from '../../src/engine/engine';
import { AbortedError, ContextLengthError, InvalidFileError } from '../../src/errors';
import { SessionStore, type StoredSession } from '../../src/storage/store/session_store';
import type {
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
} from '../../src/worker/protocol';
import { ScriptedRunner } from './scripted_runner';

/** A host without a model: answers with the words of the last message, one event each, and can be held up at any word. */
function nameOf(source: ModelSource): string {
  if (source.kind === 'url') return source.url;
  if (source.kind === 'repository') return source.ref.repository;
  return source.kind === 'files' ? source.files[0].path : source.name;
}

export class FakeHost implements Host {
  produced = 0;
  openAnswers = 0;
  disposed = false;
  readonly loaded: string[] = [];
  /** Awaited before each event. */
  gate: (() => Promise<void>) | undefined;

  async load(source: ModelSource, settings: LoadSettings, hooks: LoadHooks = {}): Promise<ModelInfo> {
    const name = nameOf(source);
    for (let loaded = 0; loaded <= 3; loaded++) {
      if (hooks.signal?.aborted) throw new AbortedError('aborted', { cause: hooks.signal.reason });
      hooks.onProgress?.({ phase: 'weights', loaded, total: 3 });
      await this.gate?.();
    }
    if (name.includes('broken')) throw new InvalidFileError(`${name} is cut at byte 12`, { details: { offset: 12 } });
    this.loaded.push(name);
    return {
      model: name,
      architecture: 'fake',
      parameters: 1,
      contextLength: settings.contextLength ?? 512,
      trainedContextLength: 512,
      backend: 'reference',
      adapter: undefined,
      memory: { weights: 1, kvCache: 1, total: 2 },
      warnings: [],
    };
  }

  async *chat(request: ChatRequest, signal?: AbortSignal): AsyncGenerator<ChatEvent, undefined> {
    const text = request.messages.at(-1)?.content ?? '';
    const words = text.match(/\s*\S+/g) ?? [];
    if (words.length > 200) throw new ContextLengthError(words.length, 200);
    this.openAnswers++;
    try {
      yield { type: 'start', promptTokens: words.length };
      for (const word of words.slice(0, request.maxTokens)) {
        await this.gate?.();
        if (signal?.aborted) throw new AbortedError('aborted', { cause: signal.reason });
        this.produced++;
        yield { type: 'delta', index: 0, text: word, scores: [] };
      }
      const completionTokens = Math.min(words.length, request.maxTokens ?? words.length);
      yield {
        type: 'end',
        index: 0,
        finishReason: completionTokens < words.length ? 'length' : 'stop',
        usage: {
          promptTokens: words.length,
          completionTokens,
          cachedTokens: Math.min(1, words.length - 1),
          timeToFirstTokenMs: 250,
          prefillMs: 200,
          decodeMs: 1000,
        },
      };
    } finally {
      this.openAnswers--;
    }
    return undefined;
  }

  /** The vector of a text is [its length in characters or tokens, 0]. */
  async saveChat(messages: readonly ChatMessage[]): Promise<Uint8Array> {
    return new TextEncoder().encode(JSON.stringify(messages));
  }

  async storeChat(messages: readonly ChatMessage[], name: string): Promise<StoredSession> {
    const bytes = new TextEncoder().encode(JSON.stringify(messages));
    return await (await SessionStore.require()).write(name, 'fake', bytes);
  }

  async loadChat(saved: Uint8Array | string): Promise<readonly ChatMessage[]> {
    const bytes = typeof saved === 'string' ? await (await SessionStore.require()).read(saved) : saved;
    return JSON.parse(new TextDecoder().decode(bytes)) as ChatMessage[];
  }

  async metrics(options?: MetricsOptions): Promise<HostMetrics> {
    await this.gate?.();
    const { metrics } = new Engine(new ScriptedRunner([], 0, { vocabSize: 4, contextLength: 32 }));
    return options?.bandwidth ? { ...metrics, bandwidthBytesPerSecond: 1e9 } : metrics;
  }

  async embed({ inputs }: EmbedRequest): Promise<Embeddings> {
    await this.gate?.();
    if (inputs.some(({ length }) => length > 200)) throw new ContextLengthError(201, 200);
    return {
      vectors: inputs.map((input) => Float32Array.of(input.length, 0)),
      promptTokens: inputs.reduce((sum, input) => sum + input.length, 0),
    };
  }

  async dispose(): Promise<void> {
    this.disposed = true;
  }
}
