/** The worker's side of the edge: calls come in with a number, by which they can be aborted; errors go out as data. */
import { type ProxyMarked, type Remote, releaseProxy } from 'comlink';
import type { MetricsEvent } from '../engine/metrics';
import { InternalError } from '../errors';
import { fromWire, toWire, type WireError } from '../errors/wire';
import type { StoredSession } from '../storage/store/session_store';
import { EventBuffer } from './event_buffer';
import type {
  ChatEvent,
  ChatMessage,
  ChatRequest,
  Embeddings,
  EmbedRequest,
  Host,
  HostMetrics,
  LoadProgress,
  LoadSettings,
  MetricsOptions,
  ModelInfo,
  ModelSource,
} from './protocol';

/** Unread events of one answer; beyond that the generation waits. */
const STREAM_CAPACITY = 64;

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: WireError };

type ProgressCallback = ((progress: LoadProgress) => void) & ProxyMarked;
type MetricsCallback = ((event: MetricsEvent) => void) & ProxyMarked;

export class HostEdge {
  readonly #host: Host;
  readonly #calls = new Map<number, AbortController>();
  readonly #streams = new Map<number, EventBuffer<ChatEvent>>();

  constructor(host: Host) {
    this.#host = host;
  }

  /**
   * Holds a Web Lock for as long as this worker lives. The page waits for the same lock: no event tells it that a worker has
   * crashed or was terminated, but the lock is released. Does nothing where there are no locks.
   */
  async hold(lockName: string): Promise<void> {
    if (!globalThis.navigator?.locks) return;
    await new Promise<void>((held, failed) => {
      const forever = () => new Promise<void>(() => held());
      navigator.locks.request(lockName, forever).catch(failed);
    });
  }

  load(
    call: number,
    source: ModelSource,
    settings: LoadSettings,
    onProgress?: Remote<ProgressCallback>,
    onMetrics?: Remote<MetricsCallback>,
  ): Promise<Result<ModelInfo>> {
    return this.#settle(call, async (signal) => {
      try {
        return await this.#host.load(source, settings, {
          signal,
          // Not awaited: a page that is busy must not slow the load down.
          onProgress: onProgress && ((progress) => void onProgress(progress)),
          onMetrics: onMetrics && ((event) => void onMetrics(event)),
        });
      } finally {
        onProgress?.[releaseProxy]();
      }
    });
  }

  /** Starts an answer; its events are fetched with `take(call)`. */
  openChat(call: number, request: ChatRequest): void {
    const controller = new AbortController();
    this.#calls.set(call, controller);
    this.#streams.set(call, new EventBuffer(this.#host.chat(request, controller.signal), STREAM_CAPACITY));
  }

  /** The next events of an answer; none at its end. */
  async take(call: number): Promise<Result<readonly ChatEvent[]>> {
    const stream = this.#streams.get(call);
    if (!stream) return { ok: false, error: toWire(new InternalError(`no stream ${call}`)) };
    try {
      return { ok: true, value: await stream.take() };
    } catch (error) {
      return { ok: false, error: toWire(error) };
    }
  }

  async closeChat(call: number): Promise<void> {
    const stream = this.#streams.get(call);
    this.abort(call, toWire(undefined));
    this.#streams.delete(call);
    this.#calls.delete(call);
    await stream?.close();
  }

  embed(call: number, request: EmbedRequest): Promise<Result<Embeddings>> {
    return this.#settle(call, (signal) => this.#host.embed(request, signal));
  }

  saveChat(call: number, messages: readonly ChatMessage[]): Promise<Result<Uint8Array>> {
    return this.#settle(call, () => this.#host.saveChat(messages));
  }

  storeChat(call: number, messages: readonly ChatMessage[], name: string): Promise<Result<StoredSession>> {
    return this.#settle(call, () => this.#host.storeChat(messages, name));
  }

  loadChat(call: number, saved: Uint8Array | string): Promise<Result<readonly ChatMessage[]>> {
    return this.#settle(call, () => this.#host.loadChat(saved));
  }

  metrics(call: number, options?: MetricsOptions): Promise<Result<HostMetrics>> {
    return this.#settle(call, () => this.#host.metrics(options));
  }

  abort(call: number, reason: WireError): void {
    this.#calls.get(call)?.abort(fromWire(reason));
  }

  dispose(call: number): Promise<Result<void>> {
    return this.#settle(call, () => this.#host.dispose());
  }

  async #settle<T>(call: number, run: (signal: AbortSignal) => Promise<T>): Promise<Result<T>> {
    const controller = new AbortController();
    this.#calls.set(call, controller);
    try {
      return { ok: true, value: await run(controller.signal) };
    } catch (error) {
      return { ok: false, error: toWire(error) };
    } finally {
      this.#calls.delete(call);
    }
  }
}
