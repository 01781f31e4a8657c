import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { SourceError } from '../../../src/errors';
import type { ByteSource } from '../../../src/storage/byte_source';
import { type UrlSourceOptions, urlSource } from '../../../src/storage/url_source';
import { type ServerManners, serveFile } from '../../support/range_server';
import { seeded } from '../../support/seeded';

/** What is merely not collected yet is not held. */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

function bytesOf(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  const random = seeded(seed);
  return Uint8Array.from({ length }, () => 256 * random());
}

const content = bytesOf(3_000_017);

function serve(manners: Partial<ServerManners> = {}) {
  return serveFile({ content, etag: '"one"', ranges: true, ...manners });
}

function open(url: string, options: UrlSourceOptions = {}): Promise<ByteSource> {
  return urlSource(url, { retryDelayMs: 1, ...options });
}

async function expectRange(source: ByteSource, offset: number, length: number): Promise<void> {
  expect(Buffer.compare(await source.read(offset, length), content.subarray(offset, offset + length))).toBe(0);
}

async function expectStream(source: ByteSource, offset: number, length: number): Promise<void> {
  let at = offset;
  for await (const chunk of source.stream(offset, length)) {
    expect(Buffer.compare(chunk, content.subarray(at, at + chunk.length))).toBe(0);
    at += chunk.length;
  }
  expect(at).toBe(offset + length);
}

describe('a server with ranges', () => {
  it('is asked for exactly the bytes that are read', async () => {
    await using server = await serve();
    const source = await open(server.url, { headers: { 'X-Token': 'abc' } });
    expect(source.size).toBe(content.length);
    expect(source.name).toBe(server.url);
    await expectRange(source, 0, 10);
    await expectRange(source, content.length - 5, 5);
    await expectRange(source, 20, 0);
    await expectStream(source, 1_000_001, 1_999_000);
    expect(server.requests.map(({ range }) => range)).toEqual([
      'bytes=0-0',
      'bytes=0-9',
      `bytes=${content.length - 5}-${content.length - 1}`,
      'bytes=1000001-2999000',
    ]);
    expect(server.requests.every(({ headers }) => headers['x-token'] === 'abc')).toBe(true);
  });

  it('refuses a range outside of the file without asking', async () => {
    await using server = await serve();
    const source = await open(server.url);
    await expect(source.read(content.length, 1)).rejects.toThrow(SourceError);
    expect(() => source.stream(-1, 1)).toThrow(SourceError);
    expect(server.requests.length).toBe(1);
  });

  it('that cuts transfers is asked again from where it stopped, if the file is still the same', async () => {
    await using server = await serve({ cutAfter: 700_000 });
    const source = await open(server.url);
    await expectRange(source, 0, content.length);
    const resumed = server.requests.slice(2);
    expect(resumed.length).toBeGreaterThanOrEqual(4);
    for (const { range, ifRange } of resumed) {
      expect(Number(/bytes=(\d+)-/.exec(range ?? '')?.[1])).toBeGreaterThan(0);
      expect(ifRange).toBe('"one"');
    }
  });

  it('that fails for a while is asked again, but not for ever', async () => {
    await using server = await serve();
    const source = await open(server.url);
    server.manners.failures = [503, 429, 500];
    await expectRange(source, 5, 50);
    server.manners.cutAfter = 0;
    server.requests.length = 0;
    await expect(source.read(0, 100)).rejects.toThrow(SourceError);
    expect(server.requests.length).toBe(5);
    server.manners.cutAfter = undefined;
    await expectRange(source, 0, 100);
  });

  it.each(['"two"', 'same'])('whose file changes is a SourceError (ETag %s)', async (etag) => {
    await using server = await serve({ cutAfter: 600_000 });
    const source = await open(server.url);
    const reading = (async () => {
      let seen = 0;
      for await (const chunk of source.stream(0, content.length)) {
        seen += chunk.length;
        if (seen < 200_000 || server.manners.content !== content) continue;
        server.manners.content = bytesOf(etag === 'same' ? content.length - 1 : content.length, 2);
        if (etag !== 'same') server.manners.etag = etag;
      }
    })();
    await expect(reading).rejects.toThrow(/changed on the server/);
    await expect(reading).rejects.toBeInstanceOf(SourceError);
  });

  it('without ETag or a readable Content-Range still works', async () => {
    await using server = await serve({ etag: undefined, hideContentRange: true, cutAfter: 900_000 });
    const source = await open(server.url);
    expect(server.requests.map(({ method }) => method)).toEqual(['GET', 'HEAD']);
    await expectStream(source, 3, content.length - 3);
    expect(server.requests.every(({ ifRange }) => ifRange === undefined)).toBe(true);
  });

  it('with an empty file gives an empty source', async () => {
    await using server = await serve({ content: new Uint8Array(0) });
    const source = await open(server.url);
    expect(source.size).toBe(0);
    expect((await source.read(0, 0)).length).toBe(0);
  });
});

describe('a server without ranges', () => {
  it('is read over one connection, front to back, skipping and stepping back a little', async () => {
    await using server = await serve({ ranges: false });
    const source = await open(server.url);
    await expectRange(source, 0, 100);
    await expectRange(source, 500_000, 1_000_000);
    await expectRange(source, 10, 600_000);
    await Promise.all([expectRange(source, 1_600_000, 10), expectRange(source, 1_700_000, 100_000)]);
    await expectStream(source, 2_000_000, content.length - 2_000_000);
    expect(server.requests.length).toBe(1);
  });

  it('is a SourceError for bytes that have passed', async () => {
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => controller.enqueue(new Uint8Array(1 << 20)),
    });
    const size = 100 << 20;
    const response = new Response(body, { headers: { 'Content-Length': String(size) } });
    const source = await open('https://example.org/large.gguf', { fetch: async () => response });
    const before = process.memoryUsage().arrayBuffers;
    for await (const chunk of source.stream(0, size)) expect(chunk.length).toBeLessThanOrEqual(4 << 20);
    collectGarbage();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(96 << 20);
    expect((await source.read(90 << 20, 10)).length).toBe(10);
    await expect(source.read(10, 10)).rejects.toThrow(/serves no ranges, and byte 10 has passed/);
  });

  it('that cuts the transfer is a SourceError', async () => {
    await using server = await serve({ ranges: false, cutAfter: 1_000_000 });
    const source = await open(server.url);
    await expectRange(source, 0, 900_000);
    await expect(source.read(900_000, 200_000)).rejects.toThrow(SourceError);
  });

  it('that tells no size is a SourceError', async () => {
    await using server = await serve({ ranges: false, hideLength: true });
    await expect(open(server.url)).rejects.toThrow(/tells no size and serves no ranges/);
  });

  it('lets go of a caller that aborts, and serves the next one', async () => {
    await using server = await serve({ ranges: false, stallAfter: 1_000_000 });
    const source = await open(server.url);
    const controller = new AbortController();
    const reading = source.read(0, 2_000_000, controller.signal);
    setTimeout(() => controller.abort(), 50);
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await expectRange(source, 0, 900_000);
  });
});

describe('errors', () => {
  it.each([401, 403, 404, 410, 500])('status %i is a SourceError with the status and the URL', async (status) => {
    await using server = await serve({ status });
    const opening = open(server.url);
    await expect(opening).rejects.toBeInstanceOf(SourceError);
    await expect(opening).rejects.toMatchObject({ code: 'source', details: { status, url: server.url } });
  });

  it('a file that goes away while it is read is not asked for again and again', async () => {
    await using server = await serve();
    const source = await open(server.url);
    server.manners.status = 404;
    await expect(source.read(0, 10)).rejects.toMatchObject({ details: { status: 404, url: server.url } });
    expect(server.requests.length).toBe(2);
  });

  it('no server, and a URL that is none', async () => {
    const server = await serve();
    await server[Symbol.asyncDispose]();
    await expect(open(server.url)).rejects.toMatchObject({ name: 'SourceError', details: { url: server.url } });
    await expect(open('http://')).rejects.toMatchObject({ name: 'SourceError' });
  });

  it('a server that sends another range', async () => {
    const fetch = async (): Promise<Response> =>
      new Response(new Uint8Array(10), { status: 206, headers: { 'Content-Range': 'bytes 0-9/1000' } });
    const source = await open('https://example.org/a.gguf', { fetch });
    await expect(source.read(100, 10)).rejects.toThrow(/asked for bytes from 100, the server sent others/);
  });
});

describe('abort', () => {
  it('ends the opening, a read that waits, and a pause between attempts', async () => {
    await using server = await serve({ stallAfter: 1000 });
    await expect(open(server.url, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
    const life = new AbortController();
    const source = await open(server.url, { signal: life.signal, retryDelayMs: 60_000 });
    await expect(source.read(0, 5000, AbortSignal.timeout(50))).rejects.toMatchObject({ name: 'AbortError' });
    server.manners.failures = [503];
    await expect(source.read(0, 10, AbortSignal.timeout(50))).rejects.toMatchObject({ name: 'AbortError' });
    await expectRange(source, 0, 900);
    const reading = source.read(0, 5000);
    setTimeout(() => life.abort(), 20);
    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await expect(source.read(0, 10)).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('of a stream that is left early ends its transfer', async () => {
    await using server = await serve();
    const source = await open(server.url);
    for await (const chunk of source.stream(0, content.length)) {
      expect(chunk.length).toBeGreaterThan(0);
      break;
    }
    await expectRange(source, 0, 10);
  });
});
