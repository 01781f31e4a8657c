import { BLOCK_FORMATS } from './blocks';
import { rowBytes } from './row_bytes';
import type { WeightFormat } from './weight_format';

/**
 * Encoded blocks for `values` values (a multiple of the block size): codes uniform over all that the format has, which an encoder
 * does not reach, under scales that keep the values near 1. `random` is uniform in [0, 1).
 */
export function randomBlocks(format: WeightFormat, values: number, random: () => number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(rowBytes(format, values));
  const block = BLOCK_FORMATS[format];
  block.random(bytes, values / block.blockSize, random);
  return bytes;
}
