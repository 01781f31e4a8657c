import type { ByteSource } from '../formats/byte_source';
import { blobSource, bufferSource, urlSource } from '../storage/byte_source';
import type { ModelSource } from './protocol';

/** The bytes behind a source. Asks a server for the size of its file. */
export async function openSource(source: ModelSource, signal?: AbortSignal): Promise<ByteSource> {
  if (source.kind === 'blob') return blobSource(source.blob);
  if (source.kind === 'bytes') return bufferSource(source.bytes);
  return await urlSource(source.url, { signal });
}
