import type { ByteSource } from '../formats/gguf/gguf';
import { blobSource, bufferSource, urlSource } from '../storage/byte_source';
import type { ModelSource } from './protocol';

export async function openSource(source: ModelSource, signal: AbortSignal | undefined): Promise<ByteSource> {
  switch (source.kind) {
    case 'url':
      return await urlSource(source.url, { signal });
    case 'blob':
      return blobSource(source.blob);
    case 'bytes':
      return bufferSource(source.bytes);
  }
}
