import { throwIfAborted } from '../errors';
import type { ByteSource } from './byte_source';

/** Sources one after another, addressed as one. A range may cross from one to the next. */
export function joinedSource(name: string, parts: readonly ByteSource[]): ByteSource {
  const size = parts.reduce((sum, part) => sum + part.size, 0);

  /** The pieces of [offset, offset + length), each with the part that it lies in. */
  function* pieces(offset: number, length: number): Generator<{ part: ByteSource; from: number; bytes: number }> {
    let start = 0;
    let at = offset;
    const end = offset + length;
    for (const part of parts) {
      const bytes = Math.min(end, start + part.size) - at;
      if (at >= start && bytes > 0) {
        yield { part, from: at - start, bytes };
        at += bytes;
      }
      start += part.size;
    }
  }

  const atOnce = parts.every((part) => 'readSync' in part);
  return {
    name,
    size,
    async read(offset, length, signal) {
      throwIfAborted(signal);
      const found = [...pieces(offset, length)];
      if (found.length === 1) return await found[0].part.read(found[0].from, length, signal);
      const out = new Uint8Array(length);
      let at = 0;
      for (const { part, from, bytes } of found) {
        out.set(await part.read(from, bytes, signal), at);
        at += bytes;
      }
      return out;
    },
    async *stream(offset, length, signal) {
      for (const { part, from, bytes } of pieces(offset, length)) yield* part.stream(from, bytes, signal);
    },
    ...(atOnce && {
      readSync(offset: number, into: Uint8Array<ArrayBuffer>) {
        let at = 0;
        for (const { part, from, bytes } of pieces(offset, into.length)) {
          part.readSync?.(from, into.subarray(at, at + bytes));
          at += bytes;
        }
      },
    }),
  };
}
