/** The private file system as a worker sees it, in memory. */
interface Entry {
  bytes: Uint8Array<ArrayBuffer>;
  open: boolean;
}

export interface FakeOpfs {
  readonly directory: FileSystemDirectoryHandle;
  readonly entries: Map<string, Entry>;
  /** Bytes that fit; writes beyond fail as a full disk does. */
  capacity: number;
}

export function fakeOpfs(): FakeOpfs {
  const entries = new Map<string, Entry>();
  const opfs: FakeOpfs = { entries, capacity: Number.POSITIVE_INFINITY, directory: undefined as never };
  const missing = (name: string) => new DOMException(`${name} is not there`, 'NotFoundError');
  const used = () => [...entries.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);

  function handle(name: string): object {
    const entry = () => {
      const found = entries.get(name);
      if (!found) throw missing(name);
      return found;
    };
    return {
      kind: 'file',
      name,
      getFile: async () => new File([entry().bytes], name),
      async move(to: string) {
        if (entry().open) throw new DOMException('open', 'NoModificationAllowedError');
        entries.set(to, entry());
        entries.delete(name);
      },
      async createSyncAccessHandle() {
        const file = entry();
        if (file.open) throw new DOMException('open', 'NoModificationAllowedError');
        file.open = true;
        return {
          getSize: () => file.bytes.length,
          truncate(size: number) {
            file.bytes = file.bytes.slice(0, size);
          },
          read(into: Uint8Array, { at }: { at: number }) {
            const piece = file.bytes.subarray(at, at + into.length);
            into.set(piece);
            return piece.length;
          },
          write(bytes: Uint8Array, { at }: { at: number }) {
            const grown = Math.max(file.bytes.length, at + bytes.length);
            if (used() - file.bytes.length + grown > opfs.capacity)
              throw new DOMException('full', 'QuotaExceededError');
            const larger = new Uint8Array(grown);
            larger.set(file.bytes);
            larger.set(bytes, at);
            file.bytes = larger;
            return bytes.length;
          },
          flush() {},
          close() {
            file.open = false;
          },
        };
      },
    };
  }

  const directory = {
    kind: 'directory',
    async getFileHandle(name: string, { create = false } = {}) {
      if (!entries.has(name)) {
        if (!create) throw missing(name);
        entries.set(name, { bytes: new Uint8Array(0), open: false });
      }
      return handle(name);
    },
    async removeEntry(name: string) {
      if (!entries.delete(name)) throw missing(name);
    },
    async *keys() {
      yield* Array.from(entries.keys());
    },
  };
  return Object.assign(opfs, { directory: directory as unknown as FileSystemDirectoryHandle });
}
