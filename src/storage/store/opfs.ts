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
