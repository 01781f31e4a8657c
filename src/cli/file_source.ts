import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { SourceError, throwIfAborted } from '../errors';
import { messageOf } from '../errors/message_of';
import { type ByteSource, checkRange, streamByReads } from '../storage/byte_source';

/** A file on disk, opened for each read, so that there is nothing to close. SourceError when it is missing or gets shorter. */
export async function fileSource(path: string): Promise<ByteSource> {
  const fail = (cause: unknown): SourceError =>
    new SourceError(`${path} cannot be read: ${messageOf(cause)}`, {
      details: { path },
      cause,
    });
  const status = await stat(path).catch((cause: unknown) => {
    throw fail(cause);
  });
  if (!status.isFile()) throw new SourceError(`${path} is not a file`, { details: { path } });

  const source: ByteSource = {
    name: path,
    size: status.size,
    async read(offset, length, signal) {
      throwIfAborted(signal);
      checkRange(source, offset, length);
      let file: FileHandle | undefined;
      try {
        file = await open(path);
        const out = new Uint8Array(length);
        for (let at = 0; at < length; ) {
          const { bytesRead } = await file.read(out, at, length - at, offset + at);
          if (bytesRead === 0) throw endedAt(offset + at);
          at += bytesRead;
        }
        throwIfAborted(signal);
        return out;
      } catch (cause) {
        throwIfAborted(signal);
        throw fail(cause);
      } finally {
        await file?.close();
      }
    },
    stream(offset, length, signal) {
      return streamByReads(source, offset, length, signal);
    },
    readSync(offset, into) {
      checkRange(source, offset, into.length);
      let file: number | undefined;
      try {
        file = openSync(path, 'r');
        for (let at = 0; at < into.length; ) {
          const bytesRead = readSync(file, into, at, into.length - at, offset + at);
          if (bytesRead === 0) throw endedAt(offset + at);
          at += bytesRead;
        }
      } catch (cause) {
        throw fail(cause);
      } finally {
        if (file !== undefined) closeSync(file);
      }
    },
  };
  return source;
}

function endedAt(byte: number): Error {
  return new Error(`it ends at byte ${byte}, before it did`);
}
