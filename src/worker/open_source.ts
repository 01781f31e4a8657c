import { isSyntheticName, type ModelOrigin, namedSyntheticModel } from '../model/synthetic';
import { type ByteSource, blobSource, bufferSource } from '../storage/byte_source';
import { urlSource } from '../storage/url_source';
import type { ModelSource } from './protocol';

/** Opens a source for as long as `use` takes; a connection that is left over is closed then. */
export async function withSource<T>(
  source: ModelSource | ByteSource,
  signal: AbortSignal | undefined,
  use: (origin: ModelOrigin) => Promise<T>,
): Promise<T> {
  if (!('kind' in source)) return await use(source);
  if (source.kind === 'blob') return await use(blobSource(source.blob));
  if (source.kind === 'bytes') return await use(bufferSource(source.bytes));
  if (isSyntheticName(source.url)) return await use(namedSyntheticModel(source.url));
  const done = new AbortController();
  try {
    return await use(
      await urlSource(source.url, { signal: signal ? AbortSignal.any([signal, done.signal]) : done.signal }),
    );
  } finally {
    done.abort();
  }
}
