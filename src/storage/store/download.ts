import { SourceError, throwIfAborted } from '../../errors';
import type { ByteSource } from '../byte_source';
import { type FileKey, type FileVersion, fileId, lockName, type ModelStore } from './model_store';
import type { SyncAccessHandle } from './opfs';
import { Sha256 } from './sha256';

export interface DownloadHooks {
  readonly signal?: AbortSignal;
  /** Bytes that are there of all, those of an earlier attempt included. */
  readonly onProgress?: (loaded: number, total: number) => void;
}

/** Why a file was not stored; it can be read from its source all the same. */
export type NotStored = 'quota' | 'in use';

/** Left free for what the browser and other pages write meanwhile. */
const QUOTA_MARGIN = 64 << 20;
const FLUSH_BYTES = 64 << 20;

/**
 * Brings a file into the store, going on where an earlier attempt stopped. It gets its name only when its size and SHA-256 are right.
 * @returns undefined when it is stored, or why it is not. Rejects with SourceError (the network; a hash that is wrong) or AbortedError; what
 * has arrived stays for the next attempt, unless it is wrong.
 */
export async function download(
  store: ModelStore,
  key: FileKey,
  version: FileVersion,
  source: ByteSource,
  hooks: DownloadHooks = {},
): Promise<NotStored | undefined> {
  const id = fileId(key);
  return await exclusively(lockName(id), async () => {
    const present = await store.partBytes(id, version.version);
    if (await isOverQuota(version.size - present)) return 'quota';
    try {
      await fetchInto(store, id, key, version, source, hooks);
    } catch (error) {
      if (!(error instanceof DOMException) || error.name !== 'QuotaExceededError') throw error;
      await store.removePart(id);
      return 'quota';
    }
    await store.commit(id, key, version);
    return undefined;
  });
}

async function exclusively(name: string, run: () => Promise<NotStored | undefined>): Promise<NotStored | undefined> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return await run();
  return await locks.request(name, { ifAvailable: true }, async (lock) => (lock ? await run() : 'in use'));
}

async function isOverQuota(bytes: number): Promise<boolean> {
  const { quota, usage = 0 } = (await globalThis.navigator?.storage?.estimate?.()) ?? {};
  return quota !== undefined && usage + bytes + QUOTA_MARGIN > quota;
}

async function fetchInto(
  store: ModelStore,
  id: string,
  key: FileKey,
  version: FileVersion,
  source: ByteSource,
  { signal, onProgress }: DownloadHooks,
): Promise<void> {
  const file = await store.openPart(id, key, version);
  const hash = new Sha256();
  try {
    let at = await hashPresent(file, hash, signal);
    let unflushed = 0;
    onProgress?.(at, version.size);
    for await (const chunk of source.stream(at, version.size - at, signal)) {
      throwIfAborted(signal);
      // A handle may write less than it was given when the disk is full.
      if (file.write(chunk, { at }) !== chunk.length) throw new DOMException('the disk is full', 'QuotaExceededError');
      hash.update(chunk);
      at += chunk.length;
      unflushed += chunk.length;
      if (unflushed >= FLUSH_BYTES) {
        file.flush();
        unflushed = 0;
      }
      onProgress?.(at, version.size);
    }
    file.flush();
  } finally {
    file.close();
  }
  const found = hash.digest();
  if (version.sha256 === undefined || found === version.sha256) return;
  await store.removePart(id);
  throw new SourceError(
    `${source.name}: the download is damaged (SHA-256 ${found}, expected ${version.sha256}); it was thrown away, try again`,
    { details: { source: source.name, found, expected: version.sha256 } },
  );
}

/** Takes what an earlier attempt has left into the hash. @returns its bytes. */
async function hashPresent(file: SyncAccessHandle, hash: Sha256, signal?: AbortSignal): Promise<number> {
  const size = file.getSize();
  const chunk = new Uint8Array(4 << 20);
  let at = 0;
  while (at < size) {
    throwIfAborted(signal);
    const read = file.read(chunk, { at });
    if (read === 0) break;
    hash.update(chunk.subarray(0, read));
    at += read;
    // Lets an abort come through.
    await new Promise((resolve) => setTimeout(resolve));
  }
  return at;
}
