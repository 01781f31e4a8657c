import { type ModelOrigin, readHeader } from '../model/origin';

/** How many weights a model has, by its header alone. */
export async function countParameters(source: ModelOrigin, signal?: AbortSignal): Promise<number> {
  const { tensors } = await readHeader(source, { signal });
  let parameters = 0;
  for (const { shape } of tensors.values()) parameters += shape.reduce((product, size) => product * size, 1);
  return parameters;
}
