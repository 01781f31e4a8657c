/** A checkpoint's tensor on its way into GGUF's names and order. */
import { InvalidFileError, UnsupportedModelError } from '../../errors';
import type { ByteSource } from '../byte_source';
import type { GgmlType } from '../gguf/ggml_types';
import type { GgufTensor } from '../gguf/gguf';
import type { StoredTensor } from '../safetensors/checkpoint';
import type { SafetensorsDtype } from '../safetensors/header';
import type { Config } from './config';
import { sliceSource } from './stored_rows';

/** One tensor as GGUF describes it, and its bytes. */
export interface DescribedTensor {
  readonly tensor: Omit<GgufTensor, 'offset'>;
  readonly bytes: ByteSource;
}

/** Where a stored tensor stands. */
export interface Placement {
  readonly config: Config;
  readonly checkpoint: ReadonlyMap<string, StoredTensor>;
  /** Puts the layer's number in place of {l}. */
  readonly at: (name: string) => string;
}

/**
 * Makes GGUF's tensors of one that is stored in another shape or order. Throws InvalidFileError for a shape that does not fit, and
 * UnsupportedModelError for a dtype that is not read.
 */
export type Conversion = (stored: StoredTensor, placement: Placement) => readonly DescribedTensor[];

const FLOATS: readonly SafetensorsDtype[] = ['F32', 'F16', 'BF16'];

export function expectDtype(stored: StoredTensor, allowed: readonly SafetensorsDtype[] = FLOATS): void {
  if (allowed.includes(stored.dtype)) return;
  throw new UnsupportedModelError(
    `tensor "${stored.name}" is stored as ${stored.dtype}, expected ${allowed.join(', ')}`,
    { details: { tensor: stored.name, type: stored.dtype } },
  );
}

/** Throws InvalidFileError unless the tensor has values, in as many dimensions (sizes of 1 in the middle do not count). */
export function expectRank(stored: StoredTensor, ranks: readonly number[], what: string): void {
  if (stored.byteLength > 0 && ranks.includes(sizesOf(stored).length)) return;
  throw broken(`tensor "${stored.name}" has shape [${stored.shape.join(', ')}], expected ${what}`);
}

/** Sizes of a tensor without those of 1 between the first and the last: a depthwise convolution [channels, 1, width] is a matrix. */
export function sizesOf({ shape }: StoredTensor): readonly number[] {
  return shape.filter((size, i) => i === 0 || i === shape.length - 1 || size > 1);
}

/** Sizes in GGUF's order. A matrix of one row is a vector there. */
export function ggufShape(sizes: readonly number[]): readonly number[] {
  return [...sizes].reverse().filter((size, i) => i === 0 || size > 1);
}

/** Floats of a dtype that GGUF has under the same name. */
export function floats(
  name: string,
  stored: StoredTensor,
  sizes: readonly number[],
  bytes: ByteSource,
): DescribedTensor {
  const shape = ggufShape(sizes);
  return { tensor: { name, type: stored.dtype as GgmlType, shape, byteLength: bytes.size }, bytes };
}

/** The bytes of a tensor, or of a part of it. */
export function bytesOf(stored: StoredTensor, offset = 0, size = stored.byteLength - offset): ByteSource {
  return sliceSource(stored.source, stored.offset + offset, size);
}

export function bytesOfValue(stored: StoredTensor): number {
  return stored.byteLength / stored.shape.reduce((product, size) => product * size, 1);
}

export function broken(problem: string): InvalidFileError {
  return new InvalidFileError(problem);
}
