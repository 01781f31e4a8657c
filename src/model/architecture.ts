import { UnsupportedModelError } from '../errors';
import type { Gguf } from '../formats/gguf/gguf';
import { readLlama } from './architectures/llama';
import { architectureOf } from './hyperparameters';
import type { ModelSpec } from './model_spec';

type ArchitectureReader = (gguf: Gguf, contextLength: number, maxBindingBytes: number) => ModelSpec;

/** general.architecture → how its files are read. A new family is one file in architectures/ and one line here. */
const READERS: ReadonlyMap<string, ArchitectureReader> = new Map([['llama', readLlama]]);

/** @throws UnsupportedModelError naming the architecture, InvalidFileError naming the key or tensor. */
export function readModelSpec(gguf: Gguf, contextLength: number, maxBindingBytes: number): ModelSpec {
  const name = architectureOf(gguf);
  const reader = READERS.get(name);
  if (!reader) {
    throw new UnsupportedModelError(
      `the architecture "${name}" is not supported yet (${[...READERS.keys()].join(', ')})`,
      {
        details: { architecture: name },
      },
    );
  }
  return reader(gguf, contextLength, maxBindingBytes);
}
