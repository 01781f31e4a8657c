import { InvalidOptionError } from '../errors';
import type { ModelSource } from '../worker/protocol';

/** A GGUF file: its address, or the file itself; or `synthetic:SHAPE:FORMAT`, random weights for measuring (docs/benchmarks.md). */
export type ModelInput = string | URL | Blob | ArrayBuffer | Uint8Array<ArrayBuffer>;

/**
 * What a host is told to open. Addresses are resolved here, against the page: a worker has another base. For a worker, bytes
 * become a blob, which crosses the edge without a copy and is still there when the worker has to be started again.
 */
export function toModelSource(model: ModelInput, remote: boolean): ModelSource {
  if (typeof model === 'string' || model instanceof URL) return { kind: 'url', url: resolve(model) };
  if (model instanceof Blob) return { kind: 'blob', blob: model, name: model instanceof File ? model.name : 'model' };
  if (!(model instanceof ArrayBuffer) && !(model instanceof Uint8Array)) {
    throw new InvalidOptionError('model', 'must be an address, a File, a Blob, an ArrayBuffer or a Uint8Array');
  }
  if (remote) return { kind: 'blob', blob: new Blob([model]), name: 'model' };
  return { kind: 'bytes', bytes: model instanceof Uint8Array ? model : new Uint8Array(model), name: 'model' };
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
