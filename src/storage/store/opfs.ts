/** What TypeScript's DOM types lack of the private file system: the part that only workers have. */

/** A file that is written in place; the only writer until it is closed (https://fs.spec.whatwg.org). */
export interface SyncAccessHandle {
  read(into: Uint8Array, options: { readonly at: number }): number;
  /** @returns the bytes that were written. */
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

export interface WorkerFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<SyncAccessHandle>;
  /** Renames the file within its folder. */
  move(name: string): Promise<void>;
}

/** A folder of the origin's private file system, made where it is missing; undefined where there is no such file system. */
export async function openPrivateDirectory(name: string): Promise<FileSystemDirectoryHandle | undefined> {
  const storage = globalThis.navigator?.storage;
  if (typeof storage?.getDirectory !== 'function') return undefined;
  try {
    return await (await storage.getDirectory()).getDirectoryHandle(name, { create: true });
  } catch {
    // Private windows of some browsers refuse.
    return undefined;
  }
}

/** Makes `bytes` the whole content of a file. Rejects with a QuotaExceededError when there is no room; then the file may be cut. */
export async function writeWhole(
  directory: FileSystemDirectoryHandle,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const handle = (await directory.getFileHandle(name, { create: true })) as WorkerFileHandle;
  if (typeof handle.createSyncAccessHandle !== 'function') {
    // Outside of workers.
    const stream = await handle.createWritable();
    await stream.write(bytes);
    return await stream.close();
  }
  const access = await handle.createSyncAccessHandle();
  try {
    access.truncate(0);
    // A handle may write less than it was given when the disk is full.
    if (access.write(bytes, { at: 0 }) !== bytes.length)
      throw new DOMException('the disk is full', 'QuotaExceededError');
    access.flush();
  } finally {
    access.close();
  }
}

export async function removeIfThere(directory: FileSystemDirectoryHandle, name: string): Promise<void> {
  await directory.removeEntry(name).catch((error: unknown) => {
    if (!(error instanceof DOMException) || error.name !== 'NotFoundError') throw error;
  });
}
