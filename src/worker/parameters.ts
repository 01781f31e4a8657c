import type { ByteSource } from '../formats/byte_source';
import { readGguf } from '../formats/gguf/read_gguf';

/** How many weights a model has, by its header alone. */
export async function countParameters(source: ByteSource, signal?: AbortSignal): Promise<number> {
  const { tensors } = await readGguf(source, { signal });
  let parameters = 0;
  for (const { shape } of tensors.values()) parameters += shape.reduce((product, size) => product * size, 1);
  return parameters;
}
