import { ENCODABLE_FORMATS } from './blocks';
import { rowBytes } from './dequantize';

/** A row of finite values in `format`, rounded as ggml's reference encoders do; its length is a multiple of the block size. */
export function encodeRow(format: keyof typeof ENCODABLE_FORMATS, values: Float32Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(rowBytes(format, values.length));
  const block = ENCODABLE_FORMATS[format];
  block.encode(values, values.length / block.blockSize, out);
  return out;
}
