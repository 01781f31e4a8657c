import { type ByteSource, checkRange, MAX_CHUNK_BYTES } from './byte_source';
import { forwardSource } from './forward_source';
import { HttpFile, type HttpOptions, Interruption } from './http_file';

export type UrlSourceOptions = HttpOptions;

/**
 * A file behind a URL. One small ranged request finds its size. Where the server honours Range, each read is a request, and a
 * stream that is cut goes on from where it stopped; where it does not, the file is read front to back over one connection
 * (`forwardSource`). Rejects with SourceError, whose details hold `url` and, where there was an answer, `status`; with
 * AbortedError when `options.signal` fires, which also ends later reads.
 */
export async function urlSource(url: string, options: UrlSourceOptions = {}): Promise<ByteSource> {
  const file = new HttpFile(url, options);
  const opened = await file.open().catch((error: unknown) => {
    throw error instanceof Interruption ? error.reason : error;
  });
  if (opened.whole) return forwardSource(url, opened.size, opened.whole, options.signal);
  return rangeSource(file, opened.size);
}

function rangeSource(file: HttpFile, size: number): ByteSource {
  const { url: name } = file;
  return {
    name,
    size,
    async read(offset, length, signal) {
      checkRange(this, offset, length);
      const out = new Uint8Array(length);
      let at = 0;
      for await (const chunk of streamRange(file, offset, length, signal)) {
        out.set(chunk, at);
        at += chunk.length;
      }
      return out;
    },
    stream(offset, length, signal) {
      checkRange(this, offset, length);
      return streamRange(file, offset, length, signal);
    },
  };
}

/** Attempts in a row that bring less than this many bytes count as failures. */
const PROGRESS_BYTES = 64 << 10;
const MAX_FAILURES = 5;

async function* streamRange(
  file: HttpFile,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const end = offset + length;
  let at = offset;
  for (let failures = 0; at < end; ) {
    const start = at;
    try {
      for await (const chunk of file.range(at, end, signal)) {
        for (let from = 0; from < chunk.length; from += MAX_CHUNK_BYTES) {
          const piece = chunk.subarray(from, from + MAX_CHUNK_BYTES);
          at += piece.length;
          yield piece;
        }
      }
      if (at < end)
        throw new Interruption(file.error(`the connection ended at byte ${at}, before ${end}`, { offset: at }));
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      failures = at - start >= PROGRESS_BYTES ? 1 : failures + 1;
      if (failures >= MAX_FAILURES) throw error.reason;
      await file.pause(failures, signal);
    }
  }
}
