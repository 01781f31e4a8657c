import { InvalidOptionError, SourceError } from '../errors';
import { splitPaths } from '../formats/gguf/split_paths';
import { fileId, lockName, ModelStore, openStoreDirectory, type StoredFile } from '../storage/store/model_store';

/** A model that was downloaded from a repository, or is being: give `repository`, `revision` and `file` to `createEngine`. */
export interface StoredModel {
  readonly hub: string;
  readonly repository: string;
  readonly revision: string;
  /** A .gguf file (of a split one, the first part), or undefined for safetensors with what belongs to them. */
  readonly file: string | undefined;
  /** Bytes that are there, of so many. */
  readonly storedBytes: number;
  readonly bytes: number;
  /** A download that has not finished goes on where it stopped, the next time the model is loaded. */
  readonly complete: boolean;
  readonly storedAt: Date;
}

/** What is stored in this browser, newest first. Empty where nothing can be stored. */
export async function listStoredModels(): Promise<StoredModel[]> {
  const store = await openStore();
  return store ? [...group(await store.list()).values()].map(describe) : [];
}

/** Removes a stored model. Rejects with SourceError while another tab downloads it. */
export async function deleteStoredModel(model: StoredModel): Promise<void> {
  const store = await openStore();
  if (!store) throw new InvalidOptionError('model', 'nothing is stored in this browser');
  const files = group(await store.list()).get(keyOf(model.hub, model.repository, model.revision, model.file)) ?? [];
  for (const file of files) await deleteFile(store, file);
}

/** The bytes that are stored for this site, and how many may be; undefined where the browser does not tell. */
export async function storageUse(): Promise<{ readonly used: number; readonly quota: number } | undefined> {
  const { usage, quota } = (await globalThis.navigator?.storage?.estimate?.()) ?? {};
  return usage === undefined || quota === undefined ? undefined : { used: usage, quota };
}

async function openStore(): Promise<ModelStore | undefined> {
  const directory = await openStoreDirectory();
  return directory && new ModelStore(directory);
}

async function deleteFile(store: ModelStore, file: StoredFile): Promise<void> {
  const locks = globalThis.navigator?.locks;
  if (!locks) return await store.delete(file.id);
  await locks.request(lockName(fileId(file)), { ifAvailable: true }, async (lock) => {
    if (!lock) throw new SourceError(`${file.repository}/${file.path} is being downloaded; stop that first`);
    await store.delete(file.id);
  });
}

/** The files of a model: parts of a split one together, and everything that is no GGUF. */
function group(files: readonly StoredFile[]): Map<string, StoredFile[]> {
  const groups = new Map<string, StoredFile[]>();
  for (const file of files) {
    const key = keyOf(file.hub, file.repository, file.revision, modelFile(file.path));
    groups.set(key, [...(groups.get(key) ?? []), file]);
  }
  return groups;
}

function modelFile(path: string): string | undefined {
  return /\.gguf$/i.test(path) ? (splitPaths(path)?.[0] ?? path) : undefined;
}

function keyOf(hub: string, repository: string, revision: string, file: string | undefined): string {
  return JSON.stringify([hub, repository, revision, file ?? null]);
}

function describe(files: readonly StoredFile[]): StoredModel {
  const [{ hub, repository, revision, path }] = files;
  const sum = (of: (file: StoredFile) => number): number => files.reduce((total, file) => total + of(file), 0);
  const storedBytes = sum((file) => file.storedBytes);
  const bytes = sum((file) => file.size);
  const storedAt = new Date(Math.max(...files.map((file) => file.storedAt)));
  const complete = storedBytes === bytes;
  return { hub, repository, revision, file: modelFile(path), storedBytes, bytes, complete, storedAt };
}
