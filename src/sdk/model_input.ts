import { InvalidOptionError } from '../errors';
import type { PickedFile } from '../storage/folder';
import { DEFAULT_HUB, isRepositoryName, repositoryRef } from '../storage/hub/repository';
import type { ModelSource } from '../worker/protocol';

/** A file with its path in the folder that it was dropped with. */
export interface ModelFile {
  readonly path: string;
  readonly file: Blob;
}

/**
 * A model: a repository as `owner/name`; the address of a GGUF file (of a split one, any part) or of a .safetensors file with its
 * config.json beside it; such a file itself, or the files of a folder; or `synthetic:SHAPE:FORMAT`, random weights for measuring
 * (docs/benchmarks.md). An address that could be a repository's name begins with "./".
 */
export type ModelInput = string | URL | Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | readonly (File | ModelFile)[];

/** What goes with a model that is a repository. */
export interface RepositoryOptions {
  /** Which file of a repository or of several files; by default the best that fits this device. */
  readonly file?: string;
  /** A branch, tag or commit; default "main". */
  readonly revision?: string;
  /** An access token, for gated and private repositories. It is sent to the hub only. */
  readonly token?: string;
  /** Another hub that speaks Hugging Face's protocol; default https://huggingface.co, in Node HF_ENDPOINT. */
  readonly hub?: string;
}

/**
 * What a host is told to open. Addresses are resolved here, against the page: a worker has another base. For a worker, bytes
 * become a blob, which crosses the edge without a copy and is still there when the worker has to be started again.
 */
export function toModelSource(model: ModelInput, remote: boolean, options: RepositoryOptions = {}): ModelSource {
  const { file, revision, token, hub } = options;
  if (typeof model === 'string' && isRepositoryName(model)) {
    const ref = repositoryRef({ repository: model, revision, token, hub: hub ?? environmentHub() });
    return { kind: 'repository', ref, file: checkFile(file) };
  }
  for (const [field, value] of Object.entries({ revision, token, hub })) {
    if (value !== undefined) throw new InvalidOptionError(field, 'goes with a repository (owner/name) only');
  }
  if (Array.isArray(model)) {
    const files = (model as readonly (File | ModelFile)[]).map(toPickedFile);
    if (files.length === 0) throw new InvalidOptionError('model', 'the list of files is empty');
    return { kind: 'files', files, file: checkFile(file) };
  }
  if (file !== undefined) throw new InvalidOptionError('file', 'goes with a repository or several files only');
  if (typeof model === 'string' || model instanceof URL) return { kind: 'url', url: resolve(model) };
  // Alone they are no model, and the message says what is missing.
  if (model instanceof File && /\.(?:safetensors|json)$/i.test(model.name))
    return { kind: 'files', files: [toPickedFile(model)] };
  if (model instanceof Blob) return { kind: 'blob', blob: model, name: model instanceof File ? model.name : 'model' };
  if (!(model instanceof ArrayBuffer) && !(model instanceof Uint8Array)) {
    throw new InvalidOptionError(
      'model',
      'must be owner/name, an address, a File, files, a Blob, an ArrayBuffer or a Uint8Array',
    );
  }
  if (remote) return { kind: 'blob', blob: new Blob([model]), name: 'model' };
  return { kind: 'bytes', bytes: model instanceof Uint8Array ? model : new Uint8Array(model), name: 'model' };
}

function toPickedFile(given: File | ModelFile): PickedFile {
  if (given instanceof File) return { path: given.webkitRelativePath || given.name, blob: given };
  if (typeof given?.path !== 'string' || !(given.file instanceof Blob)) {
    throw new InvalidOptionError('model', 'the list may hold Files and { path, file } only');
  }
  return { path: given.path, blob: given.file };
}

function checkFile(file: unknown): string | undefined {
  if (file !== undefined && (typeof file !== 'string' || file === '')) {
    throw new InvalidOptionError('file', 'must be the path of a file');
  }
  return file;
}

/** Where Node's users point Hugging Face's tools at. */
function environmentHub(): string {
  const { process } = globalThis as {
    readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> };
  };
  return process?.env?.['HF_ENDPOINT'] || DEFAULT_HUB;
}

function resolve(model: string | URL): string {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  if (!URL.canParse(model, base)) throw new InvalidOptionError('model', `"${String(model)}" is not an address`);
  const url = new URL(model, base);
  if (url.protocol === 'synthetic:') return url.href;
  if (url.protocol !== 'http:' && url.protocol !== 'https:' && url.protocol !== 'blob:') {
    throw new InvalidOptionError('model', `an address must begin with https:, http: or blob:, not ${url.protocol}`);
  }
  return url.href;
}
