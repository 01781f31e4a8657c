/** What a model is read from when one file does not hold all of it: parts of a split GGUF, a Hugging Face repository. */
import type { ByteSource } from './byte_source';
import type { Gguf } from './gguf/gguf';

/** Files that belong together: a folder on disk, dropped files, a repository, what lies beside a URL. */
export interface ModelFolder {
  /** What a message calls it. */
  readonly name: string;
  /** The file at a path inside of the folder; undefined where there is none. Rejects with SourceError or AbortedError. */
  open(path: string, signal?: AbortSignal): Promise<ByteSource | undefined>;
}

/**
 * A model whose files were read and checked: it is described as one GGUF file would be, and its bytes are addressed as if they lay
 * in one. Every offset of `gguf.tensors` is a place in this source.
 */
export interface DescribedSource extends ByteSource {
  readonly gguf: Gguf;
}
