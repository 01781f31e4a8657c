/**
 * Reads an iterator ahead, up to a bound, and hands out everything that has arrived since the last call: one message to the
 * page per batch of events, and a producer that waits while the page does not read.
 */
export class EventBuffer<T> {
  readonly #source: AsyncIterator<T>;
  readonly #capacity: number;
  #events: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #ended = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  readonly #pump: Promise<void>;

  constructor(source: AsyncIterator<T>, capacity: number) {
    this.#source = source;
    this.#capacity = capacity;
    this.#pump = this.#run();
  }

  /** At least one event, or none at the end. Rejects with the source's error after the events that came before it. */
  async take(): Promise<T[]> {
    if (this.#events.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve;
      });
    }
    const events = this.#events;
    this.#events = [];
    this.#wakeWriter?.();
    if (events.length === 0 && this.#failure) throw this.#failure.error;
    return events;
  }

  /** Ends the source too; settles when it has ended. */
  async close(): Promise<void> {
    this.#ended = true;
    this.#events = [];
    this.#wakeReader?.();
    this.#wakeWriter?.();
    await this.#source.return?.();
    await this.#pump;
  }

  async #run(): Promise<void> {
    try {
      while (!this.#ended) {
        const next = await this.#source.next();
        if (this.#ended || next.done) break;
        this.#events.push(next.value);
        this.#wakeReader?.();
        if (this.#events.length >= this.#capacity) {
          await new Promise<void>((resolve) => {
            this.#wakeWriter = resolve;
          });
        }
      }
    } catch (error) {
      this.#failure = { error };
    } finally {
      this.#ended = true;
      this.#wakeReader?.();
    }
  }
}
