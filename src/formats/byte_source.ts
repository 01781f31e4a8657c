/**
 * Bytes with random access: a file, a blob, a URL. The same shape as storage's `ByteSource`; declared here as well because the
 * two rooms lie on one floor and know nothing of each other.
 */
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
