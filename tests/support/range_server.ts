import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

interface ServedRequest {
  readonly method: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly headers: IncomingMessage['headers'];
}

/** How a server treats its one file; all fields may change between requests. */
export interface ServerManners {
  content: Uint8Array;
  etag: string | undefined;
  ranges: boolean;
  /** Answers with this status for every request. */
  status?: number;
  /** Statuses for the next requests, one each. */
  failures?: number[];
  /** Closes the connection after this many bytes of each body. */
  cutAfter?: number;
  /** Sends nothing after this many bytes of a body, and keeps the connection open. */
  stallAfter?: number;
  /** Leaves out Content-Range / Content-Length. */
  hideContentRange?: boolean;
  hideLength?: boolean;
}

export interface RangeServer extends AsyncDisposable {
  readonly url: string;
  readonly manners: ServerManners;
  readonly requests: ServedRequest[];
}

/** A file server on a free local port that behaves as well or as badly as `manners` says. */
export async function serveFile(manners: ServerManners): Promise<RangeServer> {
  const requests: ServedRequest[] = [];
  const server = createServer((request, response) => {
    requests.push({
      method: request.method ?? '',
      range: request.headers.range,
      ifRange: request.headers['if-range'] as string | undefined,
      headers: request.headers,
    });
    answer(request, response, manners);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/model.gguf`,
    manners,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, manners: ServerManners): void {
  const { content, etag } = manners;
  const status = manners.failures?.shift() ?? manners.status;
  if (status !== undefined) {
    response.writeHead(status).end('sorry');
    return;
  }
  if (etag !== undefined) response.setHeader('ETag', etag);
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const ifRange = request.headers['if-range'];
  if (!match || !manners.ranges || (ifRange !== undefined && ifRange !== etag)) {
    if (!manners.hideLength) response.setHeader('Content-Length', content.length);
    response.writeHead(200);
    send(response, request.method === 'HEAD' ? new Uint8Array(0) : content, manners);
    return;
  }
  const start = Number(match[1]);
  const end = Math.min(Number(match[2]) + 1, content.length);
  if (start >= content.length) {
    response.writeHead(416, { 'Content-Range': `bytes */${content.length}` }).end();
    return;
  }
  if (!manners.hideContentRange) response.setHeader('Content-Range', `bytes ${start}-${end - 1}/${content.length}`);
  response.writeHead(206, { 'Content-Length': end - start });
  send(response, content.subarray(start, end), manners);
}

function send(response: ServerResponse, body: Uint8Array, { cutAfter, stallAfter }: ServerManners): void {
  const limit = cutAfter ?? stallAfter;
  if (limit === undefined || body.length <= limit) response.end(body);
  else {
    response.write(body.subarray(0, limit), () => {
      if (cutAfter !== undefined) setTimeout(() => response.destroy(), 5);
    });
  }
}
