import { InternalError } from '../errors';
import { BLOCK_FORMATS } from './blocks';
import { blocksOf, rowBytes } from './row_bytes';
import type { WeightFormat } from './weight_format';

/**
 * The `cols` values of a row, exact to the bit with ggml's decoders. `bytes` may be longer than the row; `out` [cols], which is
 * filled and returned, is made where it is not given.
 */
export function decodeRow(
  format: WeightFormat,
  bytes: Uint8Array,
  cols: number,
  out: Float32Array<ArrayBuffer> = new Float32Array(cols),
): Float32Array<ArrayBuffer> {
  const needed = rowBytes(format, cols);
  if (bytes.length < needed || out.length < cols) {
    throw new InternalError(
      `a ${format} row of ${cols} values takes ${needed} bytes, got ${bytes.length} bytes and room for ${out.length} values`,
    );
  }
  BLOCK_FORMATS[format].decode(bytes, blocksOf(format, cols), out);
  return out;
}
