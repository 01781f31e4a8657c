import { InternalError } from '../errors';
import { GGML_TYPES, type GgmlType } from './gguf/ggml_types';
import type { WeightFormat } from './weight_format';

/** Blocks that so many values are cut into. Throws InternalError where they do not fill them. */
export function blocksOf(format: WeightFormat, values: number): number {
  const { blockSize } = GGML_TYPES[format.toUpperCase() as GgmlType];
  if (!Number.isSafeInteger(values) || values < 0 || values % blockSize !== 0) {
    throw new InternalError(`${values} values cannot be cut into ${format} blocks of ${blockSize}`);
  }
  return values / blockSize;
}

/** Bytes that a row of `cols` values takes. */
export function rowBytes(format: WeightFormat, cols: number): number {
  return blocksOf(format, cols) * GGML_TYPES[format.toUpperCase() as GgmlType].blockBytes;
}

/** The least number of values from `least` on that fills blocks. */
export function wholeBlocks(format: WeightFormat, least: number): number {
  const { blockSize } = GGML_TYPES[format.toUpperCase() as GgmlType];
  return Math.ceil(least / blockSize) * blockSize;
}
