/**
 * Downloaded files in the origin's private file system. A file has its real name only when it is whole and its hash is right: it grows as
 * `ID.part`, is renamed to `ID`, and then gets a record, `ID.json`, without which it does not count.
 */
import { type ByteSource, blobSource } from '../byte_source';
import { openPrivateDirectory, removeIfThere, type SyncAccessHandle, type WorkerFileHandle } from './opfs';
import { Sha256 } from './sha256';

/** Which file of which repository, and which version of it. */
export interface FileKey {
  readonly hub: string;
  readonly repository: string;
  readonly revision: string;
  readonly path: string;
}

export interface FileVersion {
  /** Changes with the content: the hub's object id. */
  readonly version: string;
  readonly size: number;
  /** In hexadecimal, where the hub tells it. */
  readonly sha256?: string;
}

/** A file in the store. */
export interface StoredFile extends FileKey, FileVersion {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly storedAt: number;
  /** Bytes that are there; fewer than `size` while a download is unfinished. */
  readonly storedBytes: number;
}

const DIRECTORY = 'tessera-models';
const PART = '.part';
const RECORD = '.json';

/** What the store needs of a browser; undefined where there is no private file system that a worker can write to in place. */
export async function openStoreDirectory(): Promise<FileSystemDirectoryHandle | undefined> {
  return await openPrivateDirectory(DIRECTORY);
}

export function fileId({ hub, repository, revision, path }: FileKey): string {
  const address = JSON.stringify([hub, repository, revision, path]);
  return new Sha256().update(new TextEncoder().encode(address)).digest().slice(0, 40);
}

/** The Web Lock of a file's only writer. */
export function lockName(id: string): string {
  return `tessera-store-${id}`;
}

export class ModelStore {
  constructor(readonly directory: FileSystemDirectoryHandle) {}

  /** What is stored, unfinished downloads included, newest first. */
  async list(): Promise<StoredFile[]> {
    const files: StoredFile[] = [];
    const names: string[] = [];
    for await (const name of this.directory.keys()) names.push(name);
    for (const name of names) {
      if (!name.endsWith(RECORD)) continue;
      const isPart = name.endsWith(PART + RECORD);
      const record = await this.record(name);
      const content = record && (await this.file(name.slice(0, -RECORD.length)));
      if (record && content && (isPart || content.size === record.size)) {
        files.push({ ...record, storedBytes: content.size });
      }
    }
    return files.sort((a, b) => b.storedAt - a.storedAt);
  }

  /** The whole file, if it is stored; of this version, where one is asked for. */
  async open(key: FileKey, version?: string): Promise<{ source: ByteSource; record: StoredFile } | undefined> {
    const id = fileId(key);
    const record = await this.record(id + RECORD);
    if (!record || (version !== undefined && record.version !== version)) return undefined;
    const content = await this.file(id);
    if (content?.size !== record.size) return undefined;
    return { source: blobSource(content, `${key.repository}/${key.path}`), record };
  }

  /** Removes a file, whole or in part. One that is not there is no error. */
  async delete(id: string): Promise<void> {
    // The record first: what has none does not count.
    for (const name of [id + RECORD, id, id + PART + RECORD, id + PART]) {
      await removeIfThere(this.directory, name);
    }
  }

  /** How far a download of this version has come; what is left of another version is removed. */
  async partBytes(id: string, version: string): Promise<number> {
    const record = await this.record(id + PART + RECORD);
    const part = await this.file(id + PART);
    if (record?.version === version && part && part.size <= record.size) return part.size;
    if (record || part) await this.removePart(id);
    return 0;
  }

  async removePart(id: string): Promise<void> {
    for (const name of [id + PART + RECORD, id + PART]) await this.directory.removeEntry(name).catch(() => undefined);
  }

  /** The growing file, open for writing. */
  async openPart(id: string, key: FileKey, version: FileVersion): Promise<SyncAccessHandle> {
    await this.writeRecord(id + PART + RECORD, id, key, version);
    const handle = await this.writable(id + PART);
    return await handle.createSyncAccessHandle();
  }

  /** Gives the whole, closed file its name. */
  async commit(id: string, key: FileKey, version: FileVersion): Promise<void> {
    const part = await this.writable(id + PART);
    await this.directory.removeEntry(id + RECORD).catch(() => undefined);
    await this.directory.removeEntry(id).catch(() => undefined);
    await part.move(id);
    await this.writeRecord(id + RECORD, id, key, version);
    await this.directory.removeEntry(id + PART + RECORD).catch(() => undefined);
  }

  private async writable(name: string): Promise<WorkerFileHandle> {
    return (await this.directory.getFileHandle(name, { create: true })) as WorkerFileHandle;
  }

  private async file(name: string): Promise<File | undefined> {
    const handle = await this.directory.getFileHandle(name).catch(() => undefined);
    return await handle?.getFile();
  }

  /** undefined for one that is missing, or was cut while it was written. */
  private async record(name: string): Promise<StoredFile | undefined> {
    const text = await (await this.file(name))?.text();
    if (!text) return undefined;
    try {
      const record = JSON.parse(text) as StoredFile;
      const isWhole = [record.id, record.hub, record.repository, record.revision, record.path, record.version].every(
        (field) => typeof field === 'string',
      );
      return isWhole && Number.isSafeInteger(record.size) ? record : undefined;
    } catch {
      return undefined;
    }
  }

  private async writeRecord(name: string, id: string, key: FileKey, version: FileVersion): Promise<void> {
    const { hub, repository, revision, path } = key;
    const { version: current, size, sha256 } = version;
    const storedAt = Date.now();
    const record: Omit<StoredFile, 'storedBytes'> = {
      id,
      hub,
      repository,
      revision,
      path,
      version: current,
      size,
      sha256,
      storedAt,
    };
    const handle = await this.writable(name);
    const access = await handle.createSyncAccessHandle();
    try {
      access.truncate(0);
      access.write(new TextEncoder().encode(JSON.stringify(record)), { at: 0 });
      access.flush();
    } finally {
      access.close();
    }
  }
}

/** Whether files can be stored from this thread: only workers write in place. */
export function canStore(): boolean {
  const handle = (globalThis as { FileSystemFileHandle?: { prototype: object } }).FileSystemFileHandle?.prototype;
  return handle !== undefined && 'createSyncAccessHandle' in handle && 'move' in handle;
}
