import { describe, expect, it } from 'vitest';
import { AbortedError, InvalidOptionError, SourceError } from '../../../src/errors';
import { type HubFolder, type HubOptions, openRepository } from '../../../src/storage/hub/hub_folder';
import { isRepositoryName, repositoryRef } from '../../../src/storage/hub/repository';
import { type HubManners, type HubServer, serveHub, sha256 } from '../../support/hub_server';
import { seeded } from '../../support/seeded';

function bytesOf(length: number): Uint8Array<ArrayBuffer> {
  const random = seeded(length);
  return Uint8Array.from({ length }, () => 256 * random());
}

const large = bytesOf(300_000);
const repositories = {
  'owner/tiny': { 'README.md': bytesOf(100), 'dir/a file #1.gguf': large, 'config.json': bytesOf(50) },
};

const serve = (manners: Partial<HubManners> = {}) => serveHub({ repositories, ...manners });

function open(
  hub: HubServer,
  given: { repository?: string; token?: string; revision?: string } = {},
  options: HubOptions = {},
) {
  const ref = repositoryRef({ repository: 'owner/tiny', hub: hub.url, ...given });
  return openRepository(ref, { retryDelayMs: 1, ...options });
}

async function expectContent(folder: HubFolder, path: string, content: Uint8Array): Promise<void> {
  const source = await folder.open(path);
  if (!source) throw new Error(`${path} is not there`);
  expect(source.size).toBe(content.length);
  expect(Buffer.compare(await source.read(0, content.length), content)).toBe(0);
}

describe('a repository', () => {
  it('lists its files over several pages, with sizes and the hashes of large ones', async () => {
    await using hub = await serve({ pageSize: 1 });
    const { files, name } = await open(hub);
    expect(name).toBe('owner/tiny');
    expect(files).toEqual([
      { path: 'README.md', size: 100, version: 'f' },
      { path: 'dir/a file #1.gguf', size: large.length, version: sha256(large), sha256: sha256(large) },
      { path: 'config.json', size: 50, version: 'f' },
    ]);
    expect(hub.requests.length).toBe(4);
  });

  it('is read by ranges from where the hub redirects to, which is asked directly from then on', async () => {
    await using hub = await serve();
    const folder = await open(hub);
    const source = await folder.open('dir/a file #1.gguf');
    expect(source?.name).toBe('owner/tiny/dir/a file #1.gguf');
    for (const at of [0, 100_000, 250_000]) {
      expect(Buffer.compare((await source?.read(at, 1000)) ?? large, large.subarray(at, at + 1000))).toBe(0);
    }
    expect(hub.requests.map(({ place }) => place)).toEqual(['hub', 'hub', 'cdn', 'cdn', 'cdn', 'cdn']);
    expect(hub.requests.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(3001);
    expect(await folder.open('nothing.gguf')).toBeUndefined();
  });

  it('gets the token, and the server that it redirects to never does', async () => {
    await using hub = await serve({ gated: { 'owner/tiny': 'hf_secret' } });
    const folder = await open(hub, { token: 'hf_secret' });
    await expectContent(folder, 'dir/a file #1.gguf', large);
    await expectContent(folder, 'README.md', repositories['owner/tiny']['README.md']);
    for (const { place, authorization } of hub.requests) {
      expect(authorization).toBe(place === 'hub' ? 'Bearer hf_secret' : undefined);
    }
    expect(hub.requests.some(({ place }) => place === 'cdn')).toBe(true);
  });

  it('goes on when signed addresses expire, connections are cut and the hub fails for a while', async () => {
    await using hub = await serve({ signaturesLast: 2, cutAfter: 90_000 });
    hub.manners.failures = [503, 429];
    const folder = await open(hub);
    hub.manners.failures = [500];
    await expectContent(folder, 'dir/a file #1.gguf', large);
  });
});

describe('a refusal says what it means', () => {
  it.each([
    [{ repository: 'owner/none' }, {}, 401, /does not exist \(401\); give an access token/],
    [{}, { gated: { 'owner/tiny': 'right' } }, 401, /gated \(401\): accept its terms/],
    [{ token: 'wrong' }, { gated: { 'owner/tiny': 'right' } }, 403, /the token gives no access/],
    [{ revision: 'v2' }, {}, 404, /no revision "v2"/],
    [{}, { failures: [429, 429, 429, 429] }, 429, /answers no more requests/],
    [{}, { failures: [503, 503, 503, 503] }, 503, /answered 503/],
  ] as [{ repository?: string }, Partial<HubManners>, number, RegExp][])(
    '%j %j',
    async (given, manners, status, message) => {
      await using hub = await serve(manners);
      const failure = await open(hub, given).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SourceError);
      expect((failure as SourceError).message).toMatch(message);
      expect((failure as SourceError).details).toMatchObject({ repository: given.repository ?? 'owner/tiny', status });
    },
  );

  it('a file that is gone, a hub that cannot be reached, an abort', async () => {
    const files: Record<string, Uint8Array> = { ...repositories['owner/tiny'] };
    const hub = await serve({ repositories: { 'owner/tiny': files } });
    const folder = await open(hub);
    delete files['README.md'];
    await expect(folder.open('README.md')).rejects.toThrow(/no file "README\.md" in revision "main"/);
    await expect(open(hub, {}, { signal: AbortSignal.abort() })).rejects.toThrow(AbortedError);
    await hub[Symbol.asyncDispose]();
    await expect(open(hub)).rejects.toThrow(/no connection to http:.*online/);
    await expect(folder.open('config.json')).rejects.toThrow(/no connection to http:.*online/);
  });

  it('a list that is no list', async () => {
    const answer = (body: string, headers = {}) => ({ fetch: async () => new Response(body, { headers }) });
    await using hub = await serve();
    await expect(open(hub, {}, answer('<html>'))).rejects.toThrow(/no JSON/);
    await expect(open(hub, {}, answer('{}'))).rejects.toThrow(/no list/);
    await expect(open(hub, {}, answer('[{"type":"file","path":1}]'))).rejects.toThrow(/without path or size/);
    const elsewhere = { Link: '<https://evil.example/next>; rel="next"' };
    await expect(open(hub, {}, answer('[]', elsewhere))).rejects.toThrow(/another server/);
  });
});

it('tells repositories from paths', () => {
  for (const name of ['owner/name', 'Qwen/Qwen3-0.6B-GGUF', 'a/b.c_d']) expect(isRepositoryName(name), name).toBe(true);
  for (const name of ['models/x.gguf', './a/b', 'a', 'a/b/c', 'a/..', 'a b/c', 'synthetic:x', 'a/model.safetensors']) {
    expect(isRepositoryName(name), name).toBe(false);
  }
  for (const bad of [{ revision: '../x' }, { hub: 'ftp://x' }, { token: 'a\nb' }, { repository: 'x' }]) {
    expect(() => repositoryRef({ repository: 'owner/name', ...bad })).toThrow(InvalidOptionError);
  }
});
