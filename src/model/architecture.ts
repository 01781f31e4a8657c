import { UnsupportedModelError } from '../errors';
import type { Gguf } from '../formats/gguf/gguf';
import { DecoderReader } from './architectures/decoder_reader';
import { readLlama } from './architectures/llama';
import { architectureOf } from './hyperparameters';
import type { ModelSpec } from './model_spec';

/** general.architecture → how its files are read. A new family is one file in architectures/ and one line here. */
const READERS: ReadonlyMap<string, (reader: DecoderReader) => ModelSpec> = new Map([['llama', readLlama]]);

/**
 * What a file's model is made of. `contextLength` sizes its tables, `maxBindingBytes` decides which weights are fused.
 * @throws UnsupportedModelError naming the architecture, InvalidFileError naming the key or tensor.
 */
export function readModelSpec(gguf: Gguf, contextLength: number, maxBindingBytes: number): ModelSpec {
  const name = architectureOf(gguf);
  const read = READERS.get(name);
  if (!read) {
    throw new UnsupportedModelError(
      `the architecture "${name}" is not supported yet (${[...READERS.keys()].join(', ')})`,
      {
        details: { architecture: name },
      },
    );
  }
  return read(new DecoderReader(gguf, contextLength, maxBindingBytes));
}
