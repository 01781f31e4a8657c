/**
 * Saved conversations in the origin's private file system. `ID-TIME` has the bytes; the record `ID.json` names that file, and is written
 * when it is whole: what has no record does not count, and a save that fails leaves the one before.
 */
import { InvalidOptionError, SourceError } from '../../errors';
import { openPrivateDirectory, removeIfThere, writeWhole } from './opfs';
import { Sha256 } from './sha256';

/** A conversation that is stored in this browser. */
export interface StoredSession {
  readonly name: string;
  /** The model that it was held with, under which alone it can be loaded. */
  readonly model: string;
  readonly bytes: number;
  readonly savedAt: Date;
}

interface SessionRecord {
  readonly name: string;
  readonly model: string;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly savedAt: number;
  readonly file: string;
}

const DIRECTORY = 'tessera-sessions';
const RECORD = '.json';
const MAX_NAME = 200;

export class SessionStore {
  constructor(private readonly directory: FileSystemDirectoryHandle) {}

  /** Undefined where nothing can be stored. */
  static async open(): Promise<SessionStore | undefined> {
    const directory = await openPrivateDirectory(DIRECTORY);
    return directory && new SessionStore(directory);
  }

  /** The store; throws InvalidOptionError where nothing can be stored. */
  static async require(): Promise<SessionStore> {
    const store = await SessionStore.open();
    if (!store)
      throw new InvalidOptionError('name', 'nothing can be stored here: this is no browser, or it is a private window');
    return store;
  }

  /** Newest first. */
  async list(): Promise<StoredSession[]> {
    const found: SessionRecord[] = [];
    for (const entry of await this.#names()) {
      const record = entry.endsWith(RECORD) ? await this.#record(entry) : undefined;
      if (record) found.push(record);
    }
    return found.sort((a, b) => b.savedAt - a.savedAt).map(describe);
  }

  /** Takes the place of one of the same name. Rejects with SourceError when there is no room. */
  async write(name: string, model: string, content: Uint8Array<ArrayBuffer>): Promise<StoredSession> {
    const id = idOf(name);
    return await exclusively(id, async () => {
      const savedAt = Date.now();
      const before = (await this.#names()).filter((entry) => entry.startsWith(`${id}-`));
      let file = `${id}-${savedAt}`;
      while (before.includes(file)) file += '+';
      const record: SessionRecord = { name, model, bytes: content.length, savedAt, file };
      try {
        await writeWhole(this.directory, file, content);
        await writeWhole(this.directory, id + RECORD, new TextEncoder().encode(JSON.stringify(record)));
      } catch (cause) {
        await removeIfThere(this.directory, file);
        if (!(cause instanceof DOMException) || cause.name !== 'QuotaExceededError') throw cause;
        throw new SourceError(`the session "${name}" has ${content.length} bytes, for which this browser has no room`, {
          details: { bytes: content.length },
          cause,
        });
      }
      for (const entry of before) await removeIfThere(this.directory, entry);
      return describe(record);
    });
  }

  /** Rejects with InvalidOptionError when there is none of this name, SourceError when its bytes are gone. */
  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const record = await this.#record(idOf(name) + RECORD);
    if (!record) throw new InvalidOptionError('name', `no session "${name}" is stored here`);
    try {
      const handle = await this.directory.getFileHandle(record.file);
      return new Uint8Array(await (await handle.getFile()).arrayBuffer());
    } catch (cause) {
      throw new SourceError(`the stored session "${name}" cannot be read`, { cause });
    }
  }

  /** One that is not there is no error. */
  async delete(name: string): Promise<void> {
    const id = idOf(name);
    await exclusively(id, async () => {
      // The record first: what has none does not count.
      await removeIfThere(this.directory, id + RECORD);
      for (const entry of await this.#names()) {
        if (entry.startsWith(`${id}-`)) await removeIfThere(this.directory, entry);
      }
    });
  }

  async #names(): Promise<string[]> {
    const names: string[] = [];
    for await (const name of this.directory.keys()) names.push(name);
    return names;
  }

  /** undefined for one that is missing, or was cut while it was written. */
  async #record(entry: string): Promise<SessionRecord | undefined> {
    const handle = await this.directory.getFileHandle(entry).catch(() => undefined);
    if (!handle) return undefined;
    try {
      const record = JSON.parse(await (await handle.getFile()).text()) as SessionRecord;
      const texts = [record.name, record.model, record.file].every((field) => typeof field === 'string');
      return texts && [record.bytes, record.savedAt].every(Number.isSafeInteger) ? record : undefined;
    } catch {
      return undefined;
    }
  }
}

function describe({ name, model, bytes, savedAt }: SessionRecord): StoredSession {
  return { name, model, bytes, savedAt: new Date(savedAt) };
}

/** Names are the user's, file names the browser's. */
function idOf(name: unknown): string {
  if (typeof name !== 'string' || name === '' || name.length > MAX_NAME) {
    throw new InvalidOptionError('name', `must be a string of 1 to ${MAX_NAME} characters`);
  }
  return new Sha256().update(new TextEncoder().encode(name)).digest().slice(0, 40);
}

async function exclusively<T>(id: string, run: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  return locks ? await locks.request(`tessera-session-${id}`, run) : await run();
}
