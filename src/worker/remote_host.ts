import { proxy } from 'comlink';
import { DisposedError, throwIfAborted } from '../errors';
import { toWire } from '../errors/wire';
import type { StoredSession } from '../storage/store/session_store';
import { Connection } from './connection';
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
} from './protocol';

/**
 * A host in a worker. When the worker dies, pending calls reject with `WorkerLostError`; the next call starts a new one, which
 * first loads again the model that answered before.
 */
export class RemoteHost implements Host {
  readonly #start: () => Worker;
  #connection: Promise<Connection> | undefined;
  #active:
    | { readonly source: ModelSource; readonly settings: LoadSettings; readonly onMetrics: LoadHooks['onMetrics'] }
    | undefined;
  /** The connection whose worker holds the active model. */
  #serving: { readonly connection: Connection; readonly ready: Promise<unknown> } | undefined;
  #disposed = false;

  constructor(start: () => Worker) {
    this.#start = start;
  }

  async load(source: ModelSource, settings: LoadSettings, hooks: LoadHooks = {}): Promise<ModelInfo> {
    throwIfAborted(hooks.signal);
    const connection = await this.#connect();
    const info = await load(connection, source, settings, hooks);
    this.#active = { source, settings, onMetrics: hooks.onMetrics };
    this.#serving = { connection, ready: Promise.resolve() };
    return info;
  }

  async *chat(request: ChatRequest, signal?: AbortSignal): AsyncGenerator<ChatEvent, undefined> {
    const connection = await this.#connect();
    await this.#restore(connection);
    throwIfAborted(signal);
    const call = connection.newCall();
    const unbridge = bridgeAbort(connection, call, signal);
    try {
      await connection.guard(connection.edge.openChat(call, request));
      for (;;) {
        const events = await connection.settle(connection.edge.take(call));
        if (events.length === 0) return undefined;
        yield* events;
      }
    } finally {
      unbridge();
      if (connection.open) await connection.guard(connection.edge.closeChat(call));
    }
  }

  async embed(request: EmbedRequest, signal?: AbortSignal): Promise<Embeddings> {
    const connection = await this.#connect();
    await this.#restore(connection);
    throwIfAborted(signal);
    const call = connection.newCall();
    const unbridge = bridgeAbort(connection, call, signal);
    try {
      return await connection.settle(connection.edge.embed(call, request));
    } finally {
      unbridge();
    }
  }

  async saveChat(messages: readonly ChatMessage[]): Promise<Uint8Array> {
    const { connection, call } = await this.#newCall();
    return await connection.settle(connection.edge.saveChat(call, messages));
  }

  async storeChat(messages: readonly ChatMessage[], name: string): Promise<StoredSession> {
    const { connection, call } = await this.#newCall();
    return await connection.settle(connection.edge.storeChat(call, messages, name));
  }

  async loadChat(saved: Uint8Array | string): Promise<readonly ChatMessage[]> {
    const { connection, call } = await this.#newCall();
    return await connection.settle(connection.edge.loadChat(call, saved));
  }

  async metrics(options?: MetricsOptions): Promise<HostMetrics> {
    const { connection, call } = await this.#newCall();
    return await connection.settle(connection.edge.metrics(call, options));
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const connection = await this.#connection?.catch(() => undefined);
    if (!connection?.open) return;
    await connection.settle(connection.edge.dispose(connection.newCall())).finally(() => {
      connection.close(new DisposedError('the engine was disposed'));
    });
  }

  /** A call to a worker that has the active model. */
  async #newCall(): Promise<{ readonly connection: Connection; readonly call: number }> {
    const connection = await this.#connect();
    await this.#restore(connection);
    return { connection, call: connection.newCall() };
  }

  #connect(): Promise<Connection> {
    if (this.#disposed) return Promise.reject(new DisposedError('the engine was disposed'));
    this.#connection ??= this.#open();
    return this.#connection;
  }

  async #open(): Promise<Connection> {
    const forget = () => {
      this.#connection = undefined;
      this.#serving = undefined;
    };
    try {
      return await Connection.open(this.#start, forget);
    } catch (error) {
      forget();
      throw error;
    }
  }

  async #restore(connection: Connection): Promise<void> {
    if (!this.#active) return;
    if (this.#serving?.connection !== connection) {
      const { source, settings, onMetrics } = this.#active;
      this.#serving = { connection, ready: load(connection, source, settings, { onMetrics }) };
    }
    try {
      await this.#serving.ready;
    } catch (error) {
      this.#serving = undefined;
      throw error;
    }
  }
}

async function load(
  connection: Connection,
  source: ModelSource,
  settings: LoadSettings,
  hooks: LoadHooks = {},
): Promise<ModelInfo> {
  throwIfAborted(hooks.signal);
  const call = connection.newCall();
  const unbridge = bridgeAbort(connection, call, hooks.signal);
  const onProgress = hooks.onProgress && proxy(hooks.onProgress);
  const onMetrics = hooks.onMetrics && proxy(hooks.onMetrics);
  try {
    return await connection.settle(connection.edge.load(call, source, settings, onProgress, onMetrics));
  } finally {
    unbridge();
  }
}

/** Tells the worker when the caller's signal fires; returns how to stop doing so. */
function bridgeAbort(connection: Connection, call: number, signal: AbortSignal | undefined): () => void {
  const abort = () => {
    if (connection.open) void connection.edge.abort(call, toWire(signal?.reason));
  };
  signal?.addEventListener('abort', abort);
  return () => signal?.removeEventListener('abort', abort);
}
