import { SourceError } from '../errors';
import { type ByteSource, blobSource } from './byte_source';
import { type UrlSourceOptions, urlSource } from './url_source';

/** Files that belong together. */
export interface Folder {
  /** What a message calls it. */
  readonly name: string;
  /** The file at a path inside of the folder; undefined where there is none. Rejects with SourceError or AbortedError. */
  open(path: string, signal?: AbortSignal): Promise<ByteSource | undefined>;
}

export interface FolderFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** A folder that knows what is in it. */
export interface ListedFolder extends Folder {
  readonly files: readonly FolderFile[];
}

/** A file that was picked or dropped; `path` begins with the folder's name where a folder was. */
export interface PickedFile {
  readonly path: string;
  readonly blob: Blob;
}

/** Picked or dropped files. A folder that all of them lie in is left out of their paths. */
export function blobFolder(picked: readonly PickedFile[]): ListedFolder {
  const tops = new Set(picked.map(({ path }) => (path.includes('/') ? path.slice(0, path.indexOf('/') + 1) : '')));
  const [top] = tops.size === 1 ? tops : [''];
  const blobs = new Map(picked.map(({ path, blob }) => [path.slice(top.length), blob]));
  return {
    name: top === '' ? (picked[0]?.path ?? 'no files') : top.slice(0, -1),
    files: [...blobs].map(([path, blob]) => ({ path, size: blob.size })),
    async open(path) {
      const blob = blobs.get(path);
      return blob && blobSource(blob, path);
    },
  };
}

/** What lies beside a file behind a URL: `base` with its last part taken off. Files are found by asking for them. */
export function urlFolder(base: string, options: UrlSourceOptions = {}): Folder {
  return {
    name: new URL('.', base).href,
    async open(path, signal) {
      const url = new URL(path.split('/').map(encodeURIComponent).join('/'), base);
      url.search = new URL(base).search;
      const both = signal && options.signal ? AbortSignal.any([signal, options.signal]) : (signal ?? options.signal);
      try {
        return await urlSource(url.href, { ...options, signal: both });
      } catch (error) {
        if (error instanceof SourceError && error.details['status'] === 404) return undefined;
        throw error;
      }
    },
  };
}
