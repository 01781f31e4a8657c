/**
 * A queue between the step loop and one reader. It does not block the writer: who writes asks `unread` and pauses.
 */
export class TokenStream<T> implements AsyncIterable<T> {
  #items: T[] = [];
  #end: { readonly error?: unknown } | undefined;
  #wakeReader: (() => void) | undefined;

  /** `onRead` is called after each item that was taken, `onClose` when the reader leaves, at the end or before it. */
  constructor(
    private readonly onRead: () => void,
    private readonly onClose: () => void,
  ) {}

  get unread(): number {
    return this.#items.length;
  }

  push(item: T): void {
    this.#items.push(item);
    this.#wakeReader?.();
  }

  /** Items that were pushed before can still be read. */
  end(): void {
    this.#end ??= {};
    this.#wakeReader?.();
  }

  /** The reader gets the error after the items that were pushed before. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wakeReader?.();
  }

  /** Every item goes to one reader: a second iteration goes on where the first one is. */
  async *[Symbol.asyncIterator](): AsyncGenerator<T, undefined> {
    try {
      for (;;) {
        while (this.#items.length > 0) {
          const item = this.#items.shift() as T;
          this.onRead();
          yield item;
        }
        if (this.#end) {
          if ('error' in this.#end) throw this.#end.error;
          return undefined;
        }
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
        this.#wakeReader = undefined;
      }
    } finally {
      this.onClose();
    }
  }
}
