import { InternalError } from '../errors';
import { ENCODABLE_FORMATS } from './blocks';
import { decodeRow } from './dequantize';
import { QUANTIZE_FORMATS } from './quantize_on_load';
import { rowBytes } from './row_bytes';
import type { WeightFormat } from './weight_format';

/** A row of finite values in `format`, rounded as ggml's reference encoders do; its length is a multiple of the block size. */
export function encodeRow(format: keyof typeof ENCODABLE_FORMATS, values: Float32Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(rowBytes(format, values.length));
  const block = ENCODABLE_FORMATS[format];
  block.encode(values, values.length / block.blockSize, out);
  return out;
}

/** What is left of a row's values after they were stored in `format` (one of `QUANTIZE_FORMATS`) and read back. */
export function roundToFormat(format: WeightFormat, values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const target = QUANTIZE_FORMATS.find((known) => known === format);
  if (!target) throw new InternalError(`values cannot be quantised to ${format} while they are loaded`);
  return decodeRow(format, encodeRow(target, values), values.length);
}
