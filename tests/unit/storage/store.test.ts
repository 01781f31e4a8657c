import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AbortedError, SourceError } from '../../../src/errors';
import { repositoryRef } from '../../../src/storage/hub/repository';
import { type DownloadHooks } from '../../../src/storage/store/download';
import { fileId, lockName, ModelStore } from '../../../src/storage/store/model_store';
import { Sha256 } from '../../../src/storage/store/sha256';
import { openStoredRepository, type StoredRepository } from '../../../src/storage/store/stored_repository';
import { type FakeOpfs, fakeOpfs } from '../../support/fake_opfs';
import { type HubManners, type HubServer, serveHub } from '../../support/hub_server';
import { seeded } from '../../support/seeded';

function bytesOf(length: number, seed = length): Uint8Array<ArrayBuffer> {
  const random = seeded(seed);
  return Uint8Array.from({ length }, () => 256 * random());
}

it('hashes as the platform does, in pieces of any size', () => {
  const random = seeded(3);
  for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 100_003]) {
    const bytes = bytesOf(length, 7);
    const hash = new Sha256();
    for (let at = 0; at < length; ) {
      const piece = 1 + Math.floor(random() * 300);
      hash.update(bytes.subarray(at, at + piece));
      at += piece;
    }
    expect(hash.digest(), `${length}`).toBe(createHash('sha256').update(bytes).digest('hex'));
  }
});

const model = bytesOf(900_000);
const small = bytesOf(100);

async function serve(manners: Partial<HubManners> = {}): Promise<HubServer> {
  return await serveHub({ repositories: { 'owner/tiny': { 'model.gguf': model, 'config.json': small } }, ...manners });
}

const refOf = (hub: HubServer) => repositoryRef({ repository: 'owner/tiny', hub: hub.url });
const open = (hub: HubServer, opfs: FakeOpfs) =>
  openStoredRepository(new ModelStore(opfs.directory), refOf(hub), { retryDelayMs: 1 });

async function keep(repository: StoredRepository, hooks?: DownloadHooks): Promise<string[]> {
  expect(await repository.open('model.gguf')).toBeDefined();
  return await repository.keep(hooks);
}

async function expectModel(repository: StoredRepository, content = model): Promise<void> {
  const source = await repository.open('model.gguf');
  expect(Buffer.compare((await source?.read(0, content.length)) ?? small, content)).toBe(0);
}

const sent = (hub: HubServer) =>
  hub.requests.filter(({ place }) => place === 'cdn').reduce((sum, { bytes }) => sum + bytes, 0);

describe('a repository that is kept', () => {
  it('is read by ranges until it is wanted whole, then downloaded once and read from the store, offline too', async () => {
    const hub = await serve();
    const opfs = fakeOpfs();
    const repository = await open(hub, opfs);
    const source = await repository.open('model.gguf');
    expect(Buffer.compare((await source?.read(5, 100)) ?? small, model.subarray(5, 105))).toBe(0);
    expect(opfs.entries.size).toBe(0);
    const progress: number[] = [];
    expect(await repository.keep({ onProgress: (loaded, total) => progress.push(loaded / total) })).toEqual([]);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual([...progress].sort((a, b) => a - b));
    hub.requests.length = 0;
    expect(Buffer.compare((await source?.read(0, model.length)) ?? small, model)).toBe(0);
    expect(hub.requests).toEqual([]);

    await expectModel(await open(hub, opfs));
    expect(sent(hub)).toBe(0);
    await hub[Symbol.asyncDispose]();
    const offline = await open(hub, opfs);
    expect(offline.files.map(({ path }) => path)).toEqual(['model.gguf']);
    await expectModel(offline);
    await expect(open(hub, fakeOpfs())).rejects.toThrow(/no connection/);
  });

  it('is downloaded again from where it stopped, after an abort or a lost connection', async () => {
    await using hub = await serve();
    const opfs = fakeOpfs();
    const stop = new AbortController();
    const aborted = keep(await open(hub, opfs), {
      signal: stop.signal,
      onProgress: (loaded) => {
        if (loaded > 200_000) stop.abort();
      },
    });
    await expect(aborted).rejects.toThrow(AbortedError);
    const store = new ModelStore(opfs.directory);
    const [part] = await store.list();
    expect(part).toMatchObject({ path: 'model.gguf', size: model.length });
    expect(part.storedBytes).toBeGreaterThan(200_000);
    expect(part.storedBytes).toBeLessThan(model.length);
    expect([...opfs.entries.keys()]).not.toContain(part.id);
    hub.requests.length = 0;
    expect(await keep(await open(hub, opfs))).toEqual([]);
    // And one byte that finds the size.
    expect(sent(hub)).toBe(model.length - part.storedBytes + 1);
    await expectModel(await open(hub, opfs));
    expect([...opfs.entries.keys()].sort()).toEqual([part.id, `${part.id}.json`]);
  });

  it('with a byte flipped on the way is refused and thrown away', async () => {
    await using hub = await serve({ flipsByte: true });
    const opfs = fakeOpfs();
    await expect(keep(await open(hub, opfs))).rejects.toThrow(SourceError);
    await expect(keep(await open(hub, opfs))).rejects.toThrow(/damaged \(SHA-256/);
    expect(opfs.entries.size).toBe(0);
    hub.manners.flipsByte = false;
    expect(await keep(await open(hub, opfs))).toEqual([]);
  });

  it('is downloaded anew when the hub has another version, and the unfinished part of an old one is dropped', async () => {
    const files: Record<string, Uint8Array> = { 'model.gguf': model };
    await using hub = await serve({ repositories: { 'owner/tiny': files } });
    const opfs = fakeOpfs();
    await keep(await open(hub, opfs));
    const changed = bytesOf(800_000, 5);
    files['model.gguf'] = changed;
    await expectModel(await open(hub, opfs), changed);
    const stop = new AbortController();
    const aborted = keep(await open(hub, opfs), {
      signal: stop.signal,
      onProgress: (n) => n > 100_000 && stop.abort(),
    });
    await expect(aborted).rejects.toThrow(AbortedError);
    const again = bytesOf(850_000, 6);
    files['model.gguf'] = again;
    expect(await keep(await open(hub, opfs))).toEqual([]);
    await expectModel(await open(hub, opfs), again);
    expect(opfs.entries.size).toBe(2);
  });

  it('is read without being kept where there is no room, with a note', async () => {
    await using hub = await serve();
    const opfs = fakeOpfs();
    opfs.capacity = 300_000;
    const repository = await open(hub, opfs);
    expect(await keep(repository)).toEqual([expect.stringMatching(/^model\.gguf: there is no room left/)]);
    expect(opfs.entries.size).toBe(0);
    await expectModel(repository);
  });
});

describe('one writer', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('a second tab reads without keeping', async () => {
    await using hub = await serve();
    const opfs = fakeOpfs();
    const held = lockName(fileId({ ...refOf(hub), path: 'model.gguf' }));
    const request = async (name: string, _: unknown, run: (lock: unknown) => unknown) => run(name === held ? null : {});
    vi.stubGlobal('navigator', { locks: { request } });
    const repository = await open(hub, opfs);
    expect(await keep(repository)).toEqual([expect.stringMatching(/^model\.gguf: another tab is downloading it/)]);
    await expectModel(repository);
    expect(opfs.entries.size).toBe(0);
  });

  it('the browser’s estimate is asked before anything is written', async () => {
    await using hub = await serve();
    const opfs = fakeOpfs();
    vi.stubGlobal('navigator', { storage: { estimate: async () => ({ quota: 50e6, usage: 1e6 }) } });
    expect(await keep(await open(hub, opfs))).toHaveLength(1);
    expect(opfs.entries.size).toBe(0);
  });
});

describe('the list of stored files', () => {
  it('leaves out what has no sound record, and deletes', async () => {
    await using hub = await serve();
    const opfs = fakeOpfs();
    const store = new ModelStore(opfs.directory);
    await keep(await open(hub, opfs));
    const [stored] = await store.list();
    expect(stored).toMatchObject({ repository: 'owner/tiny', path: 'model.gguf', storedBytes: model.length });
    const record = opfs.entries.get(`${stored.id}.json`);
    if (!record) throw new Error('no record');
    const whole = record.bytes;
    for (const text of ['', '{"id":', '[]', '{"id":1}']) {
      record.bytes = new TextEncoder().encode(text);
      expect(await store.list(), text).toEqual([]);
      expect(await store.open({ ...refOf(hub), path: 'model.gguf' }), text).toBeUndefined();
    }
    record.bytes = whole;
    await store.delete(stored.id);
    await store.delete(stored.id);
    expect(opfs.entries.size).toBe(0);
  });
});
