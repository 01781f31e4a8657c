/** A conversation's beginning as bytes: its tokens and the pages that hold their keys and values. */
import { InternalError, InvalidFileError, InvalidOptionError } from '../errors';
import type { KvPages } from './kv_pages';
import type { PrefixCache } from './prefix_cache';
import { NO_PAGE, type PageStore } from './runner';

const MAGIC = 'TSKV';
const VERSION = 2;
/** Magic, version, bytes of the JSON header. */
const FIXED_BYTES = 12;

interface Header {
  /** Of the model and its cache: see PageStore. */
  readonly identity: string;
  readonly tokens: readonly number[];
  /** What the caller wants back beside the tokens. */
  readonly note: string;
  /** Positions that the pages hold, from the first one on. */
  readonly positions: number;
  readonly pages: number;
  readonly pageBytes: number;
  /** Of layers that slide: what a row at `positions` sees. */
  readonly slidingPages: number;
  readonly slidingPageBytes: number;
  /** Of the pages, in hexadecimal. */
  readonly sha256: string;
}

export interface SavedPrefix {
  readonly tokens: readonly number[];
  readonly note: string;
  /** That are cached now. */
  readonly positions: number;
}

/** Takes prefixes out of the cache as bytes, and brings them back. */
export class PrefixStore {
  #pinned = 0;

  constructor(
    private readonly kv: KvPages,
    private readonly prefixes: PrefixCache | undefined,
  ) {}

  /** Prefixes that are being read: their pages are in use by nobody else. */
  get pinned(): number {
    return this.#pinned;
  }

  /** `tokens` with as many of their keys and values as are cached. Rejects like the runner. */
  async save(tokens: readonly number[], note: string, store: PageStore): Promise<Uint8Array<ArrayBuffer>> {
    const match = this.prefixes?.match(tokens) ?? { pages: [], slidingPages: [], positions: 0 };
    const { pages, positions } = match;
    const sliding = match.slidingPages.filter((page) => page !== NO_PAGE);
    // No sequence's number: those count up from 0.
    const owner = -1 - this.#pinned++;
    let read: readonly [Uint8Array, Uint8Array, string];
    this.kv.adopt(owner, match);
    try {
      read = await Promise.all([store.read(pages, 'full'), store.read(sliding, 'sliding'), store.identity()]);
    } finally {
      this.#pinned--;
      this.kv.free(owner);
    }
    const [full, window, identity] = read;
    const content = new Uint8Array(full.length + window.length);
    content.set(full);
    content.set(window, full.length);
    return encode(
      {
        identity,
        tokens,
        note,
        positions,
        pages: pages.length,
        pageBytes: store.pageBytes('full'),
        slidingPages: sliding.length,
        slidingPageBytes: store.pageBytes('sliding'),
        sha256: await sha256Of(content),
      },
      content,
    );
  }

  /**
   * Puts what `save` gave into the cache, as far as there are free pages: what has to make room is what was used longest ago.
   * Rejects with InvalidFileError for bytes that are broken, InvalidOptionError for those of another model.
   */
  async load(bytes: Uint8Array, vocabSize: number, store: PageStore): Promise<SavedPrefix> {
    const { header, content } = await decode(bytes, vocabSize, this.kv.pageSize);
    const { tokens, note } = header;
    const sameSizes =
      header.pageBytes === store.pageBytes('full') && header.slidingPageBytes === store.pageBytes('sliding');
    if (header.identity !== (await store.identity()) || !sameSizes) {
      throw new InvalidOptionError(
        'bytes',
        'the conversation was saved with another model, or with another type of cache',
      );
    }
    if (!this.prefixes) return { tokens, note, positions: 0 };
    // Of layers that slide there is only what the end sees: a part of the conversation could not be continued.
    const room = header.slidingPages > 0 ? header.positions : this.kv.freePages * this.kv.pageSize;
    const positions = Math.min(header.positions, room);
    const owner = -1 - this.#pinned;
    if (positions === 0 || !this.kv.canPlace(positions)) return { tokens, note, positions: 0 };
    this.kv.place(owner, positions);
    const { pages, slidingPages } = this.kv.seen(owner, positions);
    const split = header.pages * header.pageBytes;
    store.write(pages, content.subarray(0, pages.length * header.pageBytes), 'full');
    if (slidingPages.length > 0) store.write(slidingPages, content.subarray(split), 'sliding');
    this.kv.record(owner, tokens, positions, true);
    this.kv.free(owner);
    return { tokens, note, positions };
  }
}

function contentBytes({ pages, pageBytes, slidingPages, slidingPageBytes }: Header): number {
  return pages * pageBytes + slidingPages * slidingPageBytes;
}

function encode(header: Header, content: Uint8Array): Uint8Array<ArrayBuffer> {
  if (content.length !== contentBytes(header)) {
    throw new InternalError(`pages of ${contentBytes(header)} bytes were read as ${content.length}`);
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(FIXED_BYTES + text.length + content.length);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  view.setUint32(4, VERSION, true);
  view.setUint32(8, text.length, true);
  bytes.set(text, FIXED_BYTES);
  bytes.set(content, FIXED_BYTES + text.length);
  return bytes;
}

async function decode(
  bytes: Uint8Array,
  vocabSize: number,
  pageSize: number,
): Promise<{ header: Header; content: Uint8Array }> {
  const broken = (what: string, cause?: unknown): never => {
    throw new InvalidFileError(`saved conversation: ${what}`, { cause });
  };
  if (bytes.length < FIXED_BYTES || new TextDecoder().decode(bytes.subarray(0, 4)) !== MAGIC) broken('no such file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(4, true);
  if (version !== VERSION) broken(`format version ${version}, this is ${VERSION}`);
  const length = view.getUint32(8, true);
  if (length > bytes.length - FIXED_BYTES) broken(`a header of ${length} bytes in ${bytes.length}`);
  let header: Header;
  try {
    header = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(FIXED_BYTES, FIXED_BYTES + length)),
    );
  } catch (cause) {
    return broken('the header is no JSON', cause);
  }
  const { identity, tokens, note, positions, pages, pageBytes, slidingPages, slidingPageBytes, sha256 } = header ?? {};
  const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
  if (
    typeof identity !== 'string' ||
    typeof note !== 'string' ||
    typeof sha256 !== 'string' ||
    ![positions, pages, pageBytes, slidingPages, slidingPageBytes].every(isCount)
  )
    broken('the header lacks fields');
  if (!Array.isArray(tokens) || !tokens.every((token) => isCount(token) && token < vocabSize))
    broken('not all tokens are');
  if (positions > tokens.length || pages !== Math.ceil(positions / pageSize)) {
    broken(`${pages} pages for ${positions} of ${tokens.length} tokens`);
  }
  const content = bytes.subarray(FIXED_BYTES + length);
  if (slidingPages > pages) broken(`${slidingPages} pages of layers that slide, ${pages} of all`);
  if (content.length !== contentBytes(header))
    broken(`${content.length} bytes of pages, expected ${contentBytes(header)}`);
  if ((await sha256Of(content)) !== sha256) broken('its pages are damaged: their SHA-256 is another');
  return { header, content };
}

async function sha256Of(bytes: Uint8Array): Promise<string> {
  // A copy: the platform takes no view of memory that is shared.
  const hash = await crypto.subtle.digest('SHA-256', bytes.slice());
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
