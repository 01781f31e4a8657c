/** A repository of Hugging Face's hub as a folder: its tree is listed once, its files are read by byte ranges. */
import { AbortedError, SourceError, throwIfAborted } from '../../errors';
import type { ByteSource } from '../byte_source';
import type { FolderFile, ListedFolder } from '../folder';
import { urlSource } from '../url_source';
import { hubError, unreachable } from './hub_error';
import { authorization, fileUrl, nameOf, type RepositoryRef, treeUrl } from './repository';

export interface HubFile extends FolderFile {
  /** Changes with the content. */
  readonly version: string;
  /** Of the content, in hexadecimal; known of large files. */
  readonly sha256?: string;
}

export interface HubFolder extends ListedFolder {
  readonly files: readonly HubFile[];
}

export interface HubOptions {
  readonly fetch?: typeof fetch;
  readonly signal?: AbortSignal;
  /** The first pause before a request is made again; it doubles. */
  readonly retryDelayMs?: number;
}

const ATTEMPTS = 4;
const DEFAULT_RETRY_DELAY_MS = 400;
const LONGEST_WAIT_MS = 10_000;
const MAX_PAGES = 50;
const MAX_LIST_BYTES = 32 << 20;
const TRANSIENT: readonly number[] = [408, 425, 429, 500, 502, 503, 504];

/** Lists a repository. Rejects with SourceError that says what to do (no such repository, gated, limited, offline), or AbortedError. */
export async function openRepository(ref: RepositoryRef, options: HubOptions = {}): Promise<HubFolder> {
  const files: HubFile[] = [];
  let url: string | undefined = treeUrl(ref);
  for (let page = 0; url !== undefined; page++) {
    if (page >= MAX_PAGES) throw broken(ref, `the list of files has more than ${MAX_PAGES} pages`);
    const response = await ask(ref, url, options);
    files.push(...readPage(ref, await response.text()));
    url = nextPage(ref, response.headers.get('Link'));
  }
  const known = new Map(files.map((file) => [file.path, file]));
  return {
    name: nameOf(ref),
    files,
    async open(path, signal) {
      const file = known.get(path);
      return file && (await openFile(ref, file, options, signal));
    },
  };
}

async function openFile(
  ref: RepositoryRef,
  file: HubFile,
  options: HubOptions,
  signal: AbortSignal | undefined,
): Promise<ByteSource> {
  const either = combine(signal, options.signal);
  for (let attempt = 1; ; attempt++) {
    try {
      const { fetch, retryDelayMs } = options;
      const headers = authorization(ref);
      const source = await urlSource(fileUrl(ref, file.path), { fetch, retryDelayMs, headers, signal: either });
      if (source.size === file.size) return named(source, `${nameOf(ref)}/${file.path}`);
      throw broken(ref, `${file.path} has ${source.size} bytes, the list says ${file.size}`);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      const { status } = error.details;
      if (typeof status !== 'number' && error.details['repository'] !== undefined) throw error;
      const again = typeof status !== 'number' || TRANSIENT.includes(status);
      if (again && attempt < ATTEMPTS) await pause(attempt, options, undefined, either);
      else if (typeof status === 'number') throw hubError(ref, status, { path: file.path, cause: error });
      else throw unreachable(ref, error);
    }
  }
}

/** Messages name the file in its repository, not an address. */
function named(source: ByteSource, name: string): ByteSource {
  return {
    name,
    size: source.size,
    read: (offset, length, signal) => source.read(offset, length, signal),
    stream: (offset, length, signal) => source.stream(offset, length, signal),
  };
}

async function ask(ref: RepositoryRef, url: string, options: HubOptions): Promise<Response> {
  const send = options.fetch ?? ((input: string, init: RequestInit) => fetch(input, init));
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(options.signal);
    let response: Response;
    try {
      response = await send(url, { headers: authorization(ref), signal: options.signal, cache: 'no-store' });
    } catch (cause) {
      throwIfAborted(options.signal);
      if (attempt >= ATTEMPTS) throw unreachable(ref, cause);
      await pause(attempt, options, undefined, options.signal);
      continue;
    }
    if (response.ok) return response;
    await response.body?.cancel();
    if (attempt >= ATTEMPTS || !TRANSIENT.includes(response.status)) {
      throw hubError(ref, response.status, { code: response.headers.get('X-Error-Code') });
    }
    await pause(attempt, options, response.headers.get('Retry-After'), options.signal);
  }
}

function readPage(ref: RepositoryRef, text: string): HubFile[] {
  if (text.length > MAX_LIST_BYTES) throw broken(ref, 'the list of files is too long');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw broken(ref, 'the list of files is no JSON', cause);
  }
  if (!Array.isArray(json)) throw broken(ref, 'the list of files is no list');
  return (json as unknown[]).flatMap((entry) => readEntry(ref, entry) ?? []);
}

function readEntry(ref: RepositoryRef, entry: unknown): HubFile | undefined {
  if (typeof entry !== 'object' || entry === null) throw broken(ref, 'the list of files holds something else');
  const { type, path, size, lfs, oid: blob } = entry as Record<string, unknown>;
  if (type !== 'file') return undefined;
  if (typeof path !== 'string' || typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw broken(ref, 'the list of files holds a file without path or size');
  }
  const oid = typeof lfs === 'object' && lfs !== null ? (lfs as Record<string, unknown>)['oid'] : undefined;
  const sha256 = typeof oid === 'string' && /^[\da-f]{64}$/.test(oid) ? oid : undefined;
  // A hub that tells no object id is taken to have another file where the size differs.
  const version = sha256 ?? (typeof blob === 'string' ? blob : `size ${size}`);
  return { path, size, version, ...(sha256 === undefined ? {} : { sha256 }) };
}

/** The address of the next page, which must be the hub's own: the token goes there. */
function nextPage(ref: RepositoryRef, link: string | null): string | undefined {
  const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(link ?? '')?.[1];
  if (next === undefined) return undefined;
  const url = URL.canParse(next, ref.hub) ? new URL(next, ref.hub) : undefined;
  if (url?.origin !== new URL(ref.hub).origin) throw broken(ref, 'the list of files goes on at another server');
  return url.href;
}

async function pause(
  attempt: number,
  { retryDelayMs = DEFAULT_RETRY_DELAY_MS }: HubOptions,
  retryAfter: string | null | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const asked = retryAfter && /^\d+$/.test(retryAfter) ? Number(retryAfter) * 1000 : 0;
  const delay = Math.min(LONGEST_WAIT_MS, Math.max(asked, retryDelayMs * 2 ** (attempt - 1)));
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(new AbortedError('aborted', { cause: signal?.reason }));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, delay);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

function combine(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a && b ? AbortSignal.any([a, b]) : (a ?? b);
}

function broken(ref: RepositoryRef, problem: string, cause?: unknown): SourceError {
  return new SourceError(`${nameOf(ref)}: ${problem}`, { details: { repository: ref.repository }, cause });
}
