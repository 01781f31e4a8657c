/** One living worker as the page sees it: typed calls that settle even when the worker dies. */
import { type Remote, releaseProxy, wrap } from 'comlink';
import { type TesseraError, WorkerLostError } from '../errors';
import { fromWire } from '../errors/wire';
import type { HostEdge, Result } from './edge';

export class Connection {
  readonly edge: Remote<HostEdge>;
  readonly #worker: Worker;
  readonly #onClosed: () => void;
  readonly #unlock = new AbortController();
  readonly #pending = new Set<(error: TesseraError) => void>();
  #closed: TesseraError | undefined;
  #nextCall = 1;

  /** Resolves when the worker answers. A worker that cannot start is a `WorkerLostError`. */
  static async open(start: () => Worker, onClosed: () => void): Promise<Connection> {
    const connection = new Connection(startChecked(start), onClosed);
    await connection.#watch();
    return connection;
  }

  private constructor(worker: Worker, onClosed: () => void) {
    this.#worker = worker;
    this.#onClosed = onClosed;
    this.edge = wrap<HostEdge>(worker);
    worker.addEventListener('error', (event) => {
      event.preventDefault?.();
      this.close(new WorkerLostError(`the worker failed: ${event.message || 'its script could not be loaded'}`));
    });
    worker.addEventListener('messageerror', () => {
      this.close(new WorkerLostError('a message from the worker could not be read'));
    });
  }

  get open(): boolean {
    return this.#closed === undefined;
  }

  newCall(): number {
    return this.#nextCall++;
  }

  /** The call's value; rejects with its error as the worker threw it, or with what closed the connection. */
  settle<T>(answer: Promise<Result<T>>): Promise<T> {
    return this.guard(
      answer.then((result) => {
        if (!result.ok) throw fromWire(result.error);
        return result.value;
      }),
    );
  }

  /** Ends the worker; calls that are pending reject with `error`. */
  close(error: TesseraError): void {
    if (this.#closed) return;
    this.#closed = error;
    for (const reject of this.#pending) reject(error);
    this.#pending.clear();
    this.#unlock.abort();
    this.#onClosed();
    this.edge[releaseProxy]();
    this.#worker.terminate();
  }

  /** See `HostEdge.hold`: when this side gets the worker's lock, the worker is gone. */
  async #watch(): Promise<void> {
    const name = `tessera-worker-${Math.random().toString(36).slice(2)}`;
    await this.guard(this.edge.hold(name));
    globalThis.navigator?.locks
      ?.request(name, { signal: this.#unlock.signal }, () => {
        this.close(new WorkerLostError('the worker was terminated'));
      })
      .catch(() => undefined); // Closed before: the request for the lock was withdrawn.
  }

  /** The promise, unless the connection closes first: then what closed it. */
  guard<T>(promise: Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(this.#closed);
    return new Promise<T>((resolve, reject) => {
      this.#pending.add(reject);
      promise.then(resolve, reject).finally(() => this.#pending.delete(reject));
    });
  }
}

/** Browsers throw when a page's policy forbids the worker's script. */
function startChecked(start: () => Worker): Worker {
  try {
    return start();
  } catch (error) {
    throw new WorkerLostError('the worker could not be started', { cause: error });
  }
}
