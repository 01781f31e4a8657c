import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface HubRequest {
  readonly place: 'hub' | 'cdn';
  readonly method: string;
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  /** Bytes of content that were sent. */
  bytes: number;
}

/** How the hub behaves; may change between requests. */
export interface HubManners {
  /** Repository → path → content. */
  readonly repositories: Record<string, Record<string, Uint8Array>>;
  /** Repositories that ask for this token. */
  readonly gated?: Readonly<Record<string, string>>;
  /** Files of a page of the list. */
  pageSize?: number;
  /** Statuses of the next requests to the hub, one each. */
  failures?: number[];
  /** Signed addresses stop working after this many requests. */
  signaturesLast?: number;
  /** Closes the connection after this many bytes of each body. */
  cutAfter?: number;
  /** The content that the content server sends differs in one byte. */
  flipsByte?: boolean;
}

export interface HubServer extends AsyncDisposable {
  /** Of the hub; files come from another origin. */
  readonly url: string;
  readonly manners: HubManners;
  readonly requests: HubRequest[];
}

/** Files smaller than this are sent by the hub itself; the others by the content server that it redirects to. */
const LARGE_BYTES = 4096;

/** Two local servers that behave like Hugging Face's hub and the content network behind it. */
export async function serveHub(manners: HubManners): Promise<HubServer> {
  const requests: HubRequest[] = [];
  let signature = 1;
  let uses = 0;
  const note = (place: HubRequest['place'], { method = '', url = '', headers }: IncomingMessage): HubRequest => {
    const request: HubRequest = {
      place,
      method,
      url,
      range: headers.range,
      authorization: headers.authorization,
      bytes: 0,
    };
    requests.push(request);
    return request;
  };

  const cdn = createServer((request, response) => {
    const noted = note('cdn', request);
    allowAll(response);
    const url = new URL(request.url ?? '', 'http://cdn');
    if (manners.signaturesLast !== undefined && ++uses > manners.signaturesLast) {
      uses = 0;
      signature++;
    }
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    if (url.searchParams.get('signature') !== String(signature)) return void response.writeHead(403).end('expired');
    const content = find(manners, decodeURIComponent(url.pathname.slice(1)));
    if (!content) return void response.writeHead(404).end();
    const sent = manners.flipsByte ? content.map((byte, i) => (i === content.length - 1 ? byte ^ 1 : byte)) : content;
    sendRange(request, response, sent, noted, manners.cutAfter);
  });
  const cdnUrl = await listen(cdn);

  const hub = createServer((request, response) => {
    const noted = note('hub', request);
    allowAll(response);
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    const failure = manners.failures?.shift();
    if (failure !== undefined) return void response.writeHead(failure).end('sorry');
    const url = new URL(request.url ?? '', 'http://hub');
    const [, tree, file] = [
      null,
      /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)$/.exec(url.pathname),
      /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname),
    ];
    const [, repository = '', revision = '', path = ''] = tree ?? file ?? [];
    const deny = (status: number, code: string): void =>
      void response.writeHead(status, { 'X-Error-Code': code }).end();
    const files = manners.repositories[repository];
    if (!files) return deny(401, 'RepoNotFound');
    const token = manners.gated?.[repository];
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
      return request.headers.authorization === undefined ? deny(401, 'GatedRepo') : deny(403, 'GatedRepo');
    }
    if (revision !== 'main') return deny(404, 'RevisionNotFound');
    if (tree) return sendTree(response, url, files, manners.pageSize ?? 1000);
    const content = files[decodeURIComponent(path)];
    if (!content) return deny(404, 'EntryNotFound');
    if (content.length < LARGE_BYTES) return sendRange(request, response, content, noted, undefined);
    const location = `${cdnUrl}/${encodeURIComponent(decodeURIComponent(`${repository}/${path}`))}?signature=${signature}`;
    const linked = { 'X-Linked-Size': content.length, 'X-Linked-ETag': `"${sha256(content)}"` };
    response.writeHead(302, { Location: location, ...linked }).end();
  });
  const url = await listen(hub);
  return {
    url,
    manners,
    requests,
    async [Symbol.asyncDispose]() {
      for (const server of [hub, cdn]) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function allowAll(response: ServerResponse): void {
  response.setHeader('Access-Control-Allow-Origin', '*');
  response.setHeader('Access-Control-Allow-Headers', '*, Authorization');
  response.setHeader('Access-Control-Expose-Headers', 'ETag, Link, Content-Range, X-Error-Code, X-Linked-ETag');
}

function find({ repositories }: HubManners, address: string): Uint8Array | undefined {
  for (const [repository, files] of Object.entries(repositories)) {
    if (address.startsWith(`${repository}/`)) return files[address.slice(repository.length + 1)];
  }
  return undefined;
}

function sendTree(response: ServerResponse, url: URL, files: Record<string, Uint8Array>, pageSize: number): void {
  const directories = new Set(
    Object.keys(files).flatMap((path) => (path.includes('/') ? [path.slice(0, path.indexOf('/'))] : [])),
  );
  const entries = [
    ...[...directories].map((path) => ({ type: 'directory', oid: 'd', size: 0, path })),
    ...Object.entries(files).map(([path, content]) => ({
      type: 'file',
      oid: 'f',
      size: content.length,
      path,
      ...(content.length < LARGE_BYTES
        ? {}
        : { lfs: { oid: sha256(content), size: content.length, pointerSize: 135 } }),
    })),
  ];
  const start = Number(url.searchParams.get('cursor') ?? 0);
  if (start + pageSize < entries.length) {
    url.searchParams.set('cursor', String(start + pageSize));
    response.setHeader('Link', `<${url.pathname}${url.search}>; rel="next"`);
  }
  response.writeHead(200, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(entries.slice(start, start + pageSize)));
}

function sendRange(
  request: IncomingMessage,
  response: ServerResponse,
  content: Uint8Array,
  noted: HubRequest,
  cutAfter: number | undefined,
): void {
  response.setHeader('ETag', `"${sha256(content).slice(0, 32)}"`);
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const start = match ? Number(match[1]) : 0;
  const end = match ? Math.min(Number(match[2]) + 1, content.length) : content.length;
  if (match) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${content.length}`);
  response.writeHead(match ? 206 : 200, { 'Content-Length': end - start });
  const body = content.subarray(start, end);
  noted.bytes = Math.min(body.length, cutAfter ?? body.length);
  if (cutAfter === undefined || body.length <= cutAfter) response.end(body);
  else response.write(body.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 5));
}
