import { InvalidFileError, throwIfAborted } from '../../errors';
import type { ByteSource } from '../byte_source';
import { decodeUtf8 } from './utf8';

const FIRST_WINDOW = 1 << 20;
const LARGEST_WINDOW = 4 << 20;
/** Bounds what a header can make us hold; the largest vocabularies take about 20 MB. */
const MAX_HEADER_BYTES = 128 << 20;
const MAX_STRING_BYTES = 10_000_000;

/**
 * A forward-only little-endian reader over a source, through a window that grows from 1 to 4 MiB (more only for one long string).
 * `await need(n)` brings n bytes into the window; the getters then take them without waiting.
 */
export class HeaderReader {
  /** What is being read, for messages: 'metadata key "a.b"'. */
  place = 'the header';
  private window: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  private view = new DataView(this.window.buffer);
  private windowOffset = 0;
  private at = 0;
  private nextWindow = FIRST_WINDOW;

  constructor(
    private readonly source: ByteSource,
    private readonly signal?: AbortSignal,
  ) {}

  /** Bytes from the start of the file. */
  get offset(): number {
    return this.windowOffset + this.at;
  }

  /** Bytes of the whole file. */
  get size(): number {
    return this.source.size;
  }

  /** Bytes from here to the end of the file. */
  get remaining(): number {
    return this.size - this.offset;
  }

  /** Bytes that can be taken without waiting. */
  get available(): number {
    return this.window.length - this.at;
  }

  fail(problem: string, offset = this.offset): InvalidFileError {
    return new InvalidFileError(`${this.source.name}: ${this.place}: ${problem} (at byte ${offset})`, {
      details: { file: this.source.name, place: this.place, offset },
    });
  }

  async need(bytes: number): Promise<void> {
    if (bytes <= this.available) return;
    if (bytes > this.remaining) {
      throw this.fail(`the file ends here: ${bytes} more bytes expected, ${this.remaining} left`);
    }
    throwIfAborted(this.signal);
    const start = this.offset;
    this.expectInHeader(bytes);
    const kept = this.window.subarray(this.at);
    const fresh = Math.min(Math.max(bytes, this.nextWindow) - kept.length, this.remaining - kept.length);
    const read = await this.source.read(start + kept.length, fresh, this.signal);
    if (kept.length === 0) this.window = read;
    else {
      const joined = new Uint8Array(kept.length + read.length);
      joined.set(kept);
      joined.set(read, kept.length);
      this.window = joined;
    }
    this.view = new DataView(this.window.buffer, this.window.byteOffset, this.window.length);
    this.windowOffset = start;
    this.at = 0;
    this.nextWindow = Math.min(2 * this.nextWindow, LARGEST_WINDOW);
  }

  /** Throws when `bytes` more would make the header larger than is sane; asked before they are allocated. */
  expectInHeader(bytes: number): void {
    if (this.offset + bytes > MAX_HEADER_BYTES) throw this.fail(`the header is larger than ${MAX_HEADER_BYTES} bytes`);
  }

  /** The next bytes, as a view that lives until the next `need`. */
  take(bytes: number): Uint8Array<ArrayBuffer> {
    this.at += bytes;
    return this.window.subarray(this.at - bytes, this.at);
  }

  u8(): number {
    return this.window[this.at++];
  }

  i8(): number {
    return this.view.getInt8(this.at++);
  }

  u16(): number {
    this.at += 2;
    return this.view.getUint16(this.at - 2, true);
  }

  i16(): number {
    this.at += 2;
    return this.view.getInt16(this.at - 2, true);
  }

  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }

  i32(): number {
    this.at += 4;
    return this.view.getInt32(this.at - 4, true);
  }

  f32(): number {
    this.at += 4;
    return this.view.getFloat32(this.at - 4, true);
  }

  f64(): number {
    this.at += 8;
    return this.view.getFloat64(this.at - 8, true);
  }

  /** A number where it is exact, else a bigint. */
  u64(): number | bigint {
    const low = this.u32();
    const high = this.u32();
    return high < 0x200000 ? high * 2 ** 32 + low : (BigInt(high) << 32n) | BigInt(low);
  }

  i64(): number | bigint {
    this.at += 8;
    const value = this.view.getBigInt64(this.at - 8, true);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  /** A 64-bit count of things that take at least `minBytes` each: no larger than `limit`, and the file can hold them. */
  async count(what: string, limit: number, minBytes: number): Promise<number> {
    await this.need(8);
    const offset = this.offset;
    const count = this.u64();
    if (count > this.remaining / minBytes) {
      throw this.fail(`${count} ${what} cannot fit into the ${this.remaining} bytes that are left`, offset);
    }
    if (count > limit) throw this.fail(`${count} ${what}, at most ${limit} are allowed`, offset);
    return Number(count);
  }

  /** A string that may need a larger window. `limit` in bytes. */
  async string(limit = MAX_STRING_BYTES): Promise<string> {
    const bytes = await this.count('bytes of a string', limit, 1);
    await this.need(bytes);
    return this.decode(bytes);
  }

  /** The next string when it lies in the window as a whole; undefined (and nothing taken) when it does not. */
  stringAtHand(): string | undefined {
    if (this.available < 8) return undefined;
    const bytes = this.view.getUint32(this.at, true);
    if (this.view.getUint32(this.at + 4, true) !== 0 || bytes > this.available - 8 || bytes > MAX_STRING_BYTES) {
      return undefined;
    }
    this.at += 8;
    return this.decode(bytes);
  }

  private decode(bytes: number): string {
    const text = decodeUtf8(this.window, this.at, this.at + bytes);
    if (text === undefined) throw this.fail('a string is not valid UTF-8');
    this.at += bytes;
    return text;
  }
}
