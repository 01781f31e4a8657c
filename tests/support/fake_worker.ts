import { expose } from 'comlink';
import { HostEdge } from '../../src/worker/edge';
import type { Host } from '../../src/worker/protocol';

/** A `Worker` whose other side is in this thread: the same messages cross the same structured cloning. */
export class FakeWorker extends EventTarget {
  terminated = false;
  readonly #near: MessagePort;
  readonly #far: MessagePort;

  constructor(host: Host) {
    super();
    const { port1, port2 } = new MessageChannel();
    this.#near = port1;
    this.#far = port2;
    expose(new HostEdge(host), port2);
    port1.addEventListener('message', ({ data }) => this.dispatchEvent(new MessageEvent('message', { data })));
    port1.start();
  }

  postMessage(message: unknown, transfer: Transferable[] = []): void {
    if (!this.terminated) this.#near.postMessage(message, transfer);
  }

  /** As a crash that the browser reports. */
  crash(message: string): void {
    this.dispatchEvent(Object.assign(new Event('error', { cancelable: true }), { message }));
  }

  terminate(): void {
    this.terminated = true;
    this.#near.close();
    this.#far.close();
  }

  asWorker(): Worker {
    return this as unknown as Worker;
  }
}
