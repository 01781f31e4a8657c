/** A repository whose files are kept: read over the network until they are wanted whole, then downloaded once and read from the store. */
import { SourceError } from '../../errors';
import type { ByteSource } from '../byte_source';
import { type HubFile, type HubFolder, type HubOptions, openRepository } from '../hub/hub_folder';
import { nameOf, type RepositoryRef } from '../hub/repository';
import { type DownloadHooks, download, type NotStored } from './download';
import type { FileKey, ModelStore } from './model_store';

export interface StoredRepository extends HubFolder {
  /**
   * Downloads every file that was opened and is not stored yet. Files for which there is no room stay where they are and are read from
   * there. @returns one sentence for each thing that a user may want to know.
   */
  keep(hooks?: DownloadHooks): Promise<string[]>;
}

const REASONS: Readonly<Record<NotStored, string>> = {
  quota: 'there is no room left in the browser’s storage, so it is not kept and will be downloaded again',
  'in use': 'another tab is downloading it, so this one reads it without keeping it',
};

interface OpenedFile {
  readonly file: HubFile;
  readonly key: FileKey;
  readonly network: ByteSource;
  stored: ByteSource | undefined;
}

/** Lists a repository, or, when the hub cannot be reached, what is stored of it. Rejects like `openRepository`. */
export async function openStoredRepository(
  store: ModelStore,
  ref: RepositoryRef,
  options: HubOptions = {},
): Promise<StoredRepository> {
  const folder = await openRepository(ref, options).catch(async (error: unknown) => {
    const offline = error instanceof SourceError && error.details['status'] === undefined;
    const stored = offline ? await storedFolder(store, ref) : undefined;
    if (!stored) throw error;
    return stored;
  });
  const opened: OpenedFile[] = [];
  const keyOf = (path: string): FileKey => ({ ...ref, path });
  return {
    name: folder.name,
    files: folder.files,
    async open(path, signal) {
      const file = folder.files.find((known) => known.path === path);
      if (!file) return undefined;
      const stored = await store.open(keyOf(path), file.version);
      if (stored) return stored.source;
      const network = await folder.open(path, signal);
      if (!network) return undefined;
      const entry: OpenedFile = { file, key: keyOf(path), network, stored: undefined };
      opened.push(entry);
      return switching(entry);
    },
    async keep({ signal, onProgress } = {}) {
      const notes: string[] = [];
      const missing = opened.filter(({ stored }) => !stored);
      const total = missing.reduce((sum, { file }) => sum + file.size, 0);
      let before = 0;
      for (const entry of missing) {
        const { file, key, network } = entry;
        const why = await download(store, key, file, network, {
          signal,
          onProgress: (loaded) => onProgress?.(before + loaded, total),
        });
        if (why) notes.push(`${file.path}: ${REASONS[why]}`);
        else entry.stored = (await store.open(key, file.version))?.source;
        before += file.size;
      }
      return notes;
    },
  };
}

/** The network until the file is stored, the store from then on. */
function switching(entry: OpenedFile): ByteSource {
  const { name, size } = entry.network;
  const now = (): ByteSource => entry.stored ?? entry.network;
  return {
    name,
    size,
    read: (offset, length, signal) => now().read(offset, length, signal),
    stream: (offset, length, signal) => now().stream(offset, length, signal),
  };
}

async function storedFolder(store: ModelStore, ref: RepositoryRef): Promise<HubFolder | undefined> {
  const files = (await store.list()).filter(
    ({ hub, repository, revision, size, storedBytes }) =>
      hub === ref.hub && repository === ref.repository && revision === ref.revision && storedBytes === size,
  );
  if (files.length === 0) return undefined;
  return { name: nameOf(ref), files, open: async (path) => (await store.open({ ...ref, path }))?.source };
}
