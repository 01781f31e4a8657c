import { SourceError } from '../errors';
import type { ByteSource } from './byte_source';
import { openSplitGguf } from './gguf/split';
import { splitPaths } from './gguf/split_paths';
import type { DescribedSource, ModelFolder } from './model_files';

/**
 * A model behind a path of a folder, with whatever else it needs from there: the other parts of a split GGUF file, the configuration,
 * tokenizer and shards of safetensors. Reads headers only. A plain GGUF file is returned unread. Rejects with SourceError naming a
 * missing file, and like `openSplitGguf` and `openHuggingFaceModel`.
 */
export async function openModelFile(
  folder: ModelFolder,
  path: string,
  signal?: AbortSignal,
): Promise<ByteSource | DescribedSource> {
  if (/\.safetensors(?:\.index\.json)?$/.test(path)) {
    // Most models are GGUF files: the rest is loaded when the first repository of this kind is.
    const { openHuggingFaceModel } = await import('./huggingface/open_repository');
    return await openHuggingFaceModel(folder, path, signal);
  }
  const parts = splitPaths(path);
  if (parts) return await openSplitGguf(folder, parts, signal);
  const source = await folder.open(path, signal);
  if (!source) throw new SourceError(`${folder.name}: ${path} is missing`, { details: { file: path } });
  return source;
}
