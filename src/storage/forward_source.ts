import { AbortedError, SourceError, throwIfAborted } from '../errors';
import { type ByteSource, checkRange, streamByReads } from './byte_source';

/** Read bytes that are kept for readers that step back a little: a header is read in windows that reach past its end. */
const KEPT_BYTES = 32 << 20;

/**
 * A file that arrives once, front to back. Reads go forward, skipping what nobody asks for, or back by at most the last 32 MiB;
 * SourceError for a read further back, and for a connection that ends early, since nothing can be asked for again.
 * Reads wait for each other.
 */
export function forwardSource(
  name: string,
  size: number,
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal?: AbortSignal,
): ByteSource {
  const tape = new Tape(name, size, body);
  let last: Promise<unknown> = Promise.resolve();
  return {
    name,
    size,
    async read(offset, length, readSignal) {
      checkRange(this, offset, length);
      const signals = [signal, readSignal].filter((one) => one !== undefined);
      const result = last.then(() => tape.read(offset, length, AbortSignal.any(signals)));
      last = result.catch(() => undefined);
      return await result;
    },
    stream(offset, length, streamSignal) {
      return streamByReads(this, offset, length, streamSignal);
    },
  };
}

class Tape {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;
  /** The last chunks, in order; they end at `arrived`. */
  private readonly kept: Uint8Array<ArrayBuffer>[] = [];
  private keptBytes = 0;
  private arrived = 0;
  /** A read under way, which outlives the caller that gave up waiting for it. */
  private pending: Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer>>> | undefined;

  constructor(
    private readonly name: string,
    private readonly size: number,
    body: ReadableStream<Uint8Array<ArrayBuffer>>,
  ) {
    this.reader = body.getReader();
  }

  async read(offset: number, length: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(signal);
    const oldest = this.arrived - this.keptBytes;
    if (offset < oldest) {
      throw this.error(`serves no ranges, and byte ${offset} has passed (bytes from ${oldest} on are left)`, offset);
    }
    const out = new Uint8Array(length);
    let filled = 0;
    let at = oldest;
    for (let i = 0; filled < length; i++) {
      const chunk = i < this.kept.length ? this.kept[i] : await this.next(signal);
      const from = offset + filled - at;
      if (from < chunk.length) {
        const piece = chunk.subarray(from, from + length - filled);
        out.set(piece, filled);
        filled += piece.length;
      }
      at += chunk.length;
    }
    return out;
  }

  private async next(signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    this.pending ??= this.reader.read();
    let result: ReadableStreamReadResult<Uint8Array<ArrayBuffer>>;
    try {
      result = await unlessAborted(this.pending, signal);
    } catch (cause) {
      if (cause instanceof AbortedError) throw cause;
      throw this.error(
        `the connection broke at byte ${this.arrived}, and the server serves no ranges`,
        this.arrived,
        cause,
      );
    }
    this.pending = undefined;
    if (result.done) {
      throw this.error(`the content ended at byte ${this.arrived} of ${this.size}`, this.arrived);
    }
    const chunk = result.value;
    this.arrived += chunk.length;
    this.kept.push(chunk);
    this.keptBytes += chunk.length;
    while (this.keptBytes - this.kept[0].length >= KEPT_BYTES) this.keptBytes -= this.kept.shift()?.length ?? 0;
    return chunk;
  }

  private error(problem: string, offset: number, cause?: unknown): SourceError {
    return new SourceError(`${this.name}: ${problem}`, { details: { url: this.name, offset }, cause });
  }
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  throwIfAborted(signal);
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(new AbortedError('aborted', { cause: signal.reason }));
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
