import { readdir, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { Folder, FolderFile, ListedFolder } from '../storage/folder';
import { fileSource } from './file_source';

/** A folder on disk, whose files are opened when they are asked for. */
export function nodeFolder(directory: string): Folder {
  return {
    name: directory,
    async open(path) {
      const full = join(directory, path);
      const status = await stat(full).catch(() => undefined);
      return status && (await fileSource(full));
    },
  };
}

/** The same with a list of what is in it and in the folders below. */
export async function listedNodeFolder(directory: string): Promise<ListedFolder> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files: FolderFile[] = [];
  for (const entry of entries) {
    const full = join(entry.parentPath, entry.name);
    // Hugging Face's own cache has links to the files.
    const status = await stat(full).catch(() => undefined);
    if (status?.isFile())
      files.push({
        path: full
          .slice(directory.length + 1)
          .split(sep)
          .join('/'),
        size: status.size,
      });
  }
  return { ...nodeFolder(directory), files };
}
