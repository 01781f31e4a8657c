import { AbortedError, SourceError, throwIfAborted } from '../errors';
import { messageOf } from '../errors/message_of';

export interface HttpOptions {
  readonly fetch?: typeof fetch;
  /** Sent with every request, but never to another origin than the URL's, where a server may redirect to. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the opening and every later read. */
  readonly signal?: AbortSignal;
  /** The first pause after a cut transfer; it doubles with each failure in a row. */
  readonly retryDelayMs?: number;
}

/** A transfer that broke in a way that asking again may mend. */
export class Interruption extends Error {
  constructor(readonly reason: SourceError) {
    super(reason.message, { cause: reason });
  }
}

interface ContentRange {
  readonly start?: number;
  readonly total?: number;
}

type Body = ReadableStream<Uint8Array<ArrayBuffer>>;

const DEFAULT_RETRY_DELAY_MS = 300;
/** Timeout, too many requests, and the server's own troubles. */
const TRANSIENT_STATUS = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The requests that a file behind a URL takes, each checked to be about the same version of the same file. */
export class HttpFile {
  private readonly fetch: typeof fetch;
  /** Where the server sent us to: asked directly from then on. Its address may be signed and expire. */
  private location: string | undefined;
  private size: number | undefined;
  private etag: string | null = null;
  private modified: string | null = null;

  constructor(
    readonly url: string,
    private readonly options: HttpOptions,
  ) {
    this.fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** Finds the size. `whole` is the file's content from its start, when the server answers a range with all of it. */
  async open(): Promise<{ readonly size: number; readonly whole?: Body }> {
    const { signal } = this.options;
    const response = await this.request({ headers: { Range: 'bytes=0-0' } }, signal);
    if (response.redirected && response.ok) this.location = response.url;
    const { total } = contentRange(response);
    this.etag = response.headers.get('ETag');
    this.modified = response.headers.get('Last-Modified');
    // An empty file has no first byte: 416, with "bytes */0".
    if (response.status === 416 && total === 0) {
      await response.body?.cancel();
      this.size = 0;
      return { size: 0 };
    }
    if (response.status === 206) {
      await response.body?.cancel();
      // Across origins a server has to expose Content-Range; Content-Length is always readable.
      this.size = total ?? (await this.sizeByHead(signal));
      return { size: this.size };
    }
    if (response.status !== 200) throw await this.rejected(response);
    const size = lengthOf(response);
    if (size === undefined || !response.body) {
      await response.body?.cancel();
      throw this.error('the server tells no size and serves no ranges', { status: response.status });
    }
    this.size = size;
    return { size, whole: response.body as Body };
  }

  /** The bytes [start, end) of one request, as they arrive: fewer when the connection ends early, never more. */
  async *range(
    start: number,
    end: number,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    const either = combine(this.options.signal, signal);
    const headers = { Range: `bytes=${start}-${end - 1}`, ...this.ifRange() };
    let response = await this.request({ headers }, either);
    if (this.location !== undefined && (response.status === 401 || response.status === 403)) {
      // The signed address has expired: the server gives another.
      await response.body?.cancel();
      this.location = undefined;
      response = await this.request({ headers }, either);
      if (response.redirected && response.ok) this.location = response.url;
    }
    if (response.status !== 206) throw await this.rejected(response);
    const content = contentRange(response);
    if (this.changed(response, content)) {
      await response.body?.cancel();
      throw this.error('the file changed on the server while it was read', { status: 206, offset: start });
    }
    if (!response.body || (content.start !== undefined && content.start !== start)) {
      await response.body?.cancel();
      throw this.error(`asked for bytes from ${start}, the server sent others`, { status: 206, offset: start });
    }
    const reader = (response.body as Body).getReader();
    let left = end - start;
    try {
      while (left > 0) {
        const { done, value } = await reader.read();
        if (done) return;
        yield value.length > left ? value.subarray(0, left) : value;
        left -= Math.min(left, value.length);
      }
    } catch (cause) {
      throwIfAborted(either);
      throw new Interruption(this.error(`the transfer broke at byte ${end - left}`, { offset: end - left }, cause));
    } finally {
      await reader.cancel().catch(() => undefined);
    }
  }

  /** Waits before the next attempt, after `failures` in a row. Rejects with AbortedError. */
  async pause(failures: number, signal?: AbortSignal): Promise<void> {
    const either = combine(this.options.signal, signal);
    const delay = (this.options.retryDelayMs ?? DEFAULT_RETRY_DELAY_MS) * 2 ** (failures - 1);
    throwIfAborted(either);
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        reject(new AbortedError('aborted', { cause: either?.reason }));
      };
      const timer = setTimeout(() => {
        either?.removeEventListener('abort', stop);
        resolve();
      }, delay);
      either?.addEventListener('abort', stop, { once: true });
    });
  }

  error(problem: string, details: { status?: number; offset?: number } = {}, cause?: unknown): SourceError {
    return new SourceError(`${this.url}: ${problem}`, { details: { url: this.url, ...details }, cause });
  }

  private async request(init: RequestInit, signal: AbortSignal | undefined): Promise<Response> {
    throwIfAborted(signal);
    const url = this.location ?? this.url;
    // On a redirect fetch itself drops Authorization; here we go there on our own.
    const own = sameOrigin(url, this.url) ? this.options.headers : undefined;
    const headers = { ...own, ...(init.headers as Record<string, string> | undefined) };
    try {
      // What is kept is kept by our own storage: a browser's cache would hold gigabytes twice.
      return await this.fetch(url, { ...init, headers, signal, cache: 'no-store' });
    } catch (cause) {
      throwIfAborted(signal);
      const why = messageOf(cause);
      throw new Interruption(this.error(`no answer (${why})`, {}, cause));
    }
  }

  private async sizeByHead(signal: AbortSignal | undefined): Promise<number> {
    const response = await this.request({ method: 'HEAD' }, signal);
    const size = lengthOf(response);
    if (!response.ok || size === undefined) {
      throw this.error('the server tells no size', { status: response.status });
    }
    return size;
  }

  /** What an answer that is not the asked range means. */
  private async rejected(response: Response): Promise<SourceError | Interruption> {
    await response.body?.cancel();
    const { status, statusText } = response;
    if (status === 200 || status === 412 || status === 416) {
      const changed = this.changed(response, contentRange(response));
      const what = changed ? 'the file changed on the server while it was read' : 'the server stopped serving ranges';
      return this.error(what, { status });
    }
    const error = this.error(`the server answered ${status} ${statusText}`.trimEnd(), { status });
    return TRANSIENT_STATUS.has(status) ? new Interruption(error) : error;
  }

  private changed(response: Response, { total }: ContentRange): boolean {
    const etag = response.headers.get('ETag');
    const modified = response.headers.get('Last-Modified');
    if (total !== undefined && total !== this.size) return true;
    if (etag !== null && this.etag !== null) return etag !== this.etag;
    return modified !== null && this.modified !== null && modified !== this.modified;
  }

  /**
   * Has the server send the whole of a file that changed, rather than a part of another one. Not across origins, where the
   * header costs a preflight that many servers refuse: there only the answers are compared.
   */
  private ifRange(): { 'If-Range'?: string } {
    const page = (globalThis as { readonly location?: Location }).location;
    if (page && !sameOrigin(this.location ?? this.url, page.href)) return {};
    const validator = this.etag !== null && !this.etag.startsWith('W/') ? this.etag : this.modified;
    return validator === null ? {} : { 'If-Range': validator };
  }
}

function sameOrigin(a: string, b: string): boolean {
  const base = (globalThis as { readonly location?: Location }).location?.href;
  return URL.canParse(a, base) && URL.canParse(b, base) && new URL(a, base).origin === new URL(b, base).origin;
}

function combine(a: AbortSignal | undefined, b: AbortSignal | undefined): AbortSignal | undefined {
  return a && b ? AbortSignal.any([a, b]) : (a ?? b);
}

/** "bytes 0-99/1234", "bytes 0-99/*" or "bytes *∕1234". */
function contentRange(response: Response): ContentRange {
  const match = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(response.headers.get('Content-Range') ?? '');
  if (!match) return {};
  return {
    start: match[1] === undefined ? undefined : Number(match[1]),
    total: match[2] === '*' ? undefined : Number(match[2]),
  };
}

/** The content's length; undefined when it is not told, or told of a compressed form. */
function lengthOf(response: Response): number | undefined {
  const encoding = response.headers.get('Content-Encoding');
  const length = response.headers.get('Content-Length');
  if (length === null || (encoding !== null && encoding !== 'identity')) return undefined;
  return /^\d+$/.test(length) ? Number(length) : undefined;
}
