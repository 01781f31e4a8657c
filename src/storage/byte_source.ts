import { SourceError, throwIfAborted } from '../errors';
import { messageOf } from '../errors/message_of';

/** Bytes with random access: memory, a file, a URL. Nothing holds more of it than a reader asks for. */
export interface ByteSource {
  /** What a message calls it: a file name or a URL. */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /** Exactly the bytes [offset, offset + length). Rejects with SourceError or AbortedError. */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /** The bytes [offset, offset + length) in order, in chunks of at most 4 MiB, each valid until the next is asked for. */
  stream(offset: number, length: number, signal?: AbortSignal): AsyncIterable<Uint8Array<ArrayBuffer>>;
  /**
   * Fills `into` with the bytes from `offset` on before it returns, where that takes milliseconds (a local file). The thread does nothing else
   * meanwhile, so ask for little at a time. Throws SourceError.
   */
  readSync?(offset: number, into: Uint8Array<ArrayBuffer>): void;
}

/** The largest chunk that a stream hands over. */
export const MAX_CHUNK_BYTES = 4 << 20;

/** Throws SourceError when [offset, offset + length) does not lie in the source. */
export function checkRange({ name, size }: Pick<ByteSource, 'name' | 'size'>, offset: number, length: number): void {
  const sane = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!sane || offset + length > size) {
    throw new SourceError(`${name}: ${length} bytes at byte ${offset} lie outside of its ${size} bytes`, {
      details: { source: name, offset, length, size },
    });
  }
}

/** A stream made of reads, for sources where a read costs little. The next one is under way while a chunk is worked on. */
export async function* streamByReads(
  source: Pick<ByteSource, 'name' | 'size' | 'read'>,
  offset: number,
  length: number,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  checkRange(source, offset, length);
  const end = offset + length;
  const read = (at: number): Promise<Uint8Array<ArrayBuffer>> | undefined => {
    if (at >= end) return undefined;
    const reading = source.read(at, Math.min(MAX_CHUNK_BYTES, end - at), signal);
    // It is awaited in its turn; nobody may be left to do so.
    reading.catch(() => undefined);
    return reading;
  };
  let next = read(offset);
  for (let at = offset; next; at += MAX_CHUNK_BYTES) {
    const chunk = await next;
    throwIfAborted(signal);
    next = read(at + MAX_CHUNK_BYTES);
    yield chunk;
  }
}

function plainView(bytes: ArrayBuffer | Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes instanceof ArrayBuffer) return new Uint8Array(bytes);
  const { buffer, byteOffset, length } = bytes;
  return buffer instanceof ArrayBuffer ? new Uint8Array(buffer, byteOffset, length) : Uint8Array.from(bytes);
}

/** Bytes in memory. Reads are views, not copies (shared memory is copied once, since others may write to it). */
export function bufferSource(bytes: ArrayBuffer | Uint8Array, name = 'buffer'): ByteSource {
  const all = plainView(bytes);
  return {
    name,
    size: all.length,
    async read(offset, length, signal) {
      throwIfAborted(signal);
      checkRange(this, offset, length);
      return all.subarray(offset, offset + length);
    },
    stream(offset, length, signal) {
      return streamByReads(this, offset, length, signal);
    },
  };
}

/** A picked or dropped file, or any Blob. SourceError when it can no longer be read (moved, changed, permission withdrawn). */
export function blobSource(blob: Blob, name = 'name' in blob ? String(blob.name) : 'blob'): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length, signal) {
      throwIfAborted(signal);
      checkRange(this, offset, length);
      let buffer: ArrayBuffer;
      try {
        buffer = await blob.slice(offset, offset + length).arrayBuffer();
      } catch (cause) {
        throw new SourceError(`${name} cannot be read: ${messageOf(cause)}`, {
          details: { source: name, offset, length },
          cause,
        });
      }
      throwIfAborted(signal);
      return new Uint8Array(buffer);
    },
    stream(offset, length, signal) {
      return streamByReads(this, offset, length, signal);
    },
  };
}
