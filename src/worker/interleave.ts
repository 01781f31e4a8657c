/**
 * Several streams as one, each item with the number of its stream, in the order in which they come. Every stream is read one item ahead and
 * waits until that was taken. Throws what the first one that fails throws; closes all of them when the reader leaves.
 */
export async function* interleave<T>(
  streams: readonly AsyncIterable<T>[],
): AsyncGenerator<{ readonly index: number; readonly item: T | undefined }, undefined> {
  const iterators = streams.map((stream) => stream[Symbol.asyncIterator]());
  const next = (index: number) => iterators[index].next().then((result) => ({ index, result }));
  const pending = new Map(iterators.map((_, index) => [index, next(index)]));
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      // To the end of the line: whoever has much to say does not keep the others waiting.
      pending.delete(index);
      if (!result.done) pending.set(index, next(index));
      // The end of a stream is an item too: undefined.
      yield { index, item: result.done ? undefined : result.value };
    }
  } finally {
    // Not waited for: a stream that is being read closes when its next item is there. Those that fail by then have nobody to tell.
    for (const [index, promise] of pending) {
      promise.catch(() => undefined);
      void iterators[index].return?.(undefined).catch(() => undefined);
    }
  }
  return undefined;
}
