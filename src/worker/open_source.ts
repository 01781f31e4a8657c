import { chooseModelFile } from '../formats/choose_file';
import { openModelFile } from '../formats/open_model_file';
import { isSyntheticName, type ModelOrigin } from '../model/origin';
import { type ByteSource, blobSource, bufferSource } from '../storage/byte_source';
import { blobFolder, urlFolder } from '../storage/folder';
import { openRepository } from '../storage/hub/hub_folder';
import { canStore, ModelStore, openStoreDirectory } from '../storage/store/model_store';
import { openStoredRepository } from '../storage/store/stored_repository';
import { memoryBudget } from './memory_budget';
import type { LoadHooks, ModelSource } from './protocol';

/** Downloads what is to be kept; called when the header was found good. */
type Keep = () => Promise<void>;
type Use<T> = (origin: ModelOrigin, keep?: Keep) => Promise<T>;

/** Opens a source for as long as `use` takes; a connection that is left over is closed then. */
export async function withSource<T>(source: ModelSource | ByteSource, hooks: LoadHooks, use: Use<T>): Promise<T> {
  if (!('kind' in source)) return await use(source);
  const { signal } = hooks;
  switch (source.kind) {
    case 'blob':
      return await use(blobSource(source.blob));
    case 'bytes':
      return await use(bufferSource(source.bytes));
    case 'files': {
      const folder = blobFolder(source.files);
      const file = source.file ?? chooseModelFile(folder.name, folder.files).path;
      return await use(await openModelFile(folder, file, signal));
    }
    case 'repository':
      return await withRepository(source, hooks, use);
    case 'url':
      if (isSyntheticName(source.url)) {
        const { namedSyntheticModel } = await import('../model/synthetic');
        return await use(namedSyntheticModel(source.url));
      }
      return await closing(signal, (until) => withUrl(source.url, until, use));
  }
}

async function closing<T>(signal: AbortSignal | undefined, run: (until: AbortSignal) => Promise<T>): Promise<T> {
  const done = new AbortController();
  try {
    return await run(signal ? AbortSignal.any([signal, done.signal]) : done.signal);
  } finally {
    done.abort();
  }
}

async function withUrl<T>(url: string, signal: AbortSignal, use: Use<T>): Promise<T> {
  const name = new URL(url).pathname.split('/').pop() ?? '';
  return await use(await openModelFile(urlFolder(url, { signal }), decodeURIComponent(name), signal));
}

async function withRepository<T>(
  { ref, file }: ModelSource & { kind: 'repository' },
  { signal, onProgress }: LoadHooks,
  use: Use<T>,
): Promise<T> {
  return await closing(signal, async (until) => {
    const directory = canStore() ? await openStoreDirectory() : undefined;
    const options = { signal: until };
    const kept = directory && (await openStoredRepository(new ModelStore(directory), ref, options));
    const folder = kept ?? (await openRepository(ref, options));
    const path = file ?? chooseModelFile(folder.name, folder.files, memoryBudget()).path;
    const keep = async (): Promise<void> => {
      const report = (loaded: number, total: number) => onProgress?.({ phase: 'download', loaded, total });
      const notes = (await kept?.keep({ signal: until, onProgress: report })) ?? [];
      for (const notice of notes) onProgress?.({ phase: 'download', loaded: 0, total: 0, notice });
    };
    return await use(await openModelFile(folder, path, until), keep);
  });
}
