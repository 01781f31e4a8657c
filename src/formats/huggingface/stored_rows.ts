/** A GGUF tensor's bytes made from a checkpoint's: as they are, with rows in another order, or computed. Each is a source of its own. */
import { throwIfAborted } from '../../errors';
import type { ByteSource } from '../byte_source';

const MAX_CHUNK_BYTES = 4 << 20;

/** The bytes [offset, offset + size) of a source. */
export function sliceSource(source: ByteSource, offset: number, size: number): ByteSource {
  return {
    name: source.name,
    size,
    read: (at, length, signal) => source.read(offset + at, length, signal),
    stream: (at, length, signal) => source.stream(offset + at, length, signal),
  };
}

/** f32 values that are worked out when they are first read; small. */
export function computedSource(
  name: string,
  count: number,
  compute: (signal?: AbortSignal) => Promise<Float32Array<ArrayBuffer>>,
): ByteSource {
  let known: Promise<Uint8Array<ArrayBuffer>> | undefined;
  const bytes = async (signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> => {
    throwIfAborted(signal);
    // A failure (an abort) must not be what every later read gets.
    known ??= compute(signal).then(
      (values) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
      (error: unknown) => {
        known = undefined;
        throw error;
      },
    );
    return await known;
  };
  return {
    name,
    size: count * 4,
    read: async (at, length, signal) => (await bytes(signal)).subarray(at, at + length),
    async *stream(at, length, signal) {
      yield (await bytes(signal)).subarray(at, at + length);
    },
  };
}

/**
 * Groups of `bytes` each, made one at a time when they are read; together `size` bytes (the last may be shorter). A stream of the whole
 * makes each once.
 */
export function groupedSource(
  name: string,
  groups: number,
  bytes: number,
  make: (index: number, signal?: AbortSignal) => Promise<Uint8Array<ArrayBuffer>>,
  size = groups * bytes,
): ByteSource {
  async function* stream(at: number, length: number, signal?: AbortSignal): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    for (let done = 0; done < length; ) {
      throwIfAborted(signal);
      const index = Math.floor((at + done) / bytes);
      const from = at + done - index * bytes;
      const piece = (await make(index, signal)).subarray(from, from + length - done);
      for (let start = 0; start < piece.length; start += MAX_CHUNK_BYTES) {
        yield piece.subarray(start, start + MAX_CHUNK_BYTES);
      }
      done += piece.length;
    }
  }
  return {
    name,
    size,
    stream,
    async read(at, length, signal) {
      const out = new Uint8Array(length);
      let filled = 0;
      for await (const piece of stream(at, length, signal)) {
        out.set(piece, filled);
        filled += piece.length;
      }
      return out;
    },
  };
}

/**
 * Rows of each head in the order of interleaved RoPE pairs: a checkpoint has the first halves of all pairs, then the second ones;
 * GGUF's llama family has pair after pair. Row 2i + j of a head is the checkpoint's row i + j·(rows / 2).
 */
export function interleavedHeads(source: ByteSource, rowBytes: number, headRows: number): ByteSource {
  const headBytes = rowBytes * headRows;
  return groupedSource(source.name, source.size / headBytes, headBytes, async (index, signal) => {
    const stored = await source.read(index * headBytes, headBytes, signal);
    const out = new Uint8Array(headBytes);
    for (let row = 0; row < headRows; row++) {
      const from = (row >> 1) + (row & 1) * (headRows / 2);
      out.set(stored.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
    }
    return out;
  });
}
