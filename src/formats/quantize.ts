import { InternalError } from '../errors';
import { BLOCK_FORMATS, ENCODABLE_FORMATS } from './blocks';
import { decodeRow, rowBytes } from './dequantize';
import type { GgmlType } from './gguf/ggml_types';
import type { Gguf, GgufTensor } from './gguf/gguf';
import type { WeightFormat } from './weight_format';

/** A row of finite values in `format`, rounded as ggml's reference encoders do; its length is a multiple of the block size. */
export function encodeRow(format: keyof typeof ENCODABLE_FORMATS, values: Float32Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(rowBytes(format, values.length));
  const block = ENCODABLE_FORMATS[format];
  block.encode(values, values.length / block.blockSize, out);
  return out;
}

/** Formats that float weights can be turned into while they are loaded. */
export const QUANTIZE_FORMATS = ['q8_0', 'q4_0'] as const;
export type QuantizeFormat = (typeof QUANTIZE_FORMATS)[number];

/** What is left of a row's values after they were stored in `format` (one of `QUANTIZE_FORMATS`) and read back. */
export function roundToFormat(format: WeightFormat, values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const target = QUANTIZE_FORMATS.find((known) => known === format);
  if (!target) throw new InternalError(`values cannot be quantised to ${format} while they are loaded`);
  return decodeRow(format, encodeRow(target, values), values.length);
}

/** Kept as they are: routers and convolutions, which are small and on which much depends, and tables that are only looked up. */
const NEVER_QUANTIZED = /(?:ffn_gate_inp|shortconv|ssm_|conv1d|position_embd|token_types|rope_)/;

/**
 * The same model with its float matrices described as `format`; they are quantised on the way to where they are used, with ggml's
 * rounding. Vectors, tensors that are quantised already, and rows that cannot be cut into blocks stay as they are.
 */
export function quantizeOnLoad(gguf: Gguf, format: QuantizeFormat): Gguf {
  const { blockSize } = BLOCK_FORMATS[format];
  const type = format.toUpperCase() as GgmlType;
  const tensors = new Map<string, GgufTensor>();
  for (const [name, tensor] of gguf.tensors) {
    const isFloatMatrix = tensor.shape.length >= 2 && ['F32', 'F16', 'BF16'].includes(tensor.type);
    const fits = isFloatMatrix && tensor.shape[0] % blockSize === 0 && !NEVER_QUANTIZED.test(name);
    tensors.set(name, fits ? { ...tensor, type, storedType: tensor.type } : tensor);
  }
  return { ...gguf, tensors };
}
