import { GGML_TYPES, type GgmlType } from './gguf/ggml_types';
import type { Gguf, GgufTensor } from './gguf/gguf';

/** Formats that float weights can be turned into while they are loaded. */
export const QUANTIZE_FORMATS = ['q8_0', 'q4_0'] as const;
export type QuantizeFormat = (typeof QUANTIZE_FORMATS)[number];

/** Kept as they are: routers and convolutions, which are small and on which much depends, and tables that are only looked up. */
const NEVER_QUANTIZED = /(?:ffn_gate_inp|shortconv|ssm_|conv1d|position_embd|token_types|rope_)/;

/**
 * The same model with its float matrices described as `format`; they are quantised on the way to where they are used, with ggml's
 * rounding. Vectors, tensors that are quantised already, and rows that cannot be cut into blocks stay as they are.
 */
export function quantizeOnLoad(gguf: Gguf, format: QuantizeFormat): Gguf {
  const type = format.toUpperCase() as GgmlType;
  const { blockSize } = GGML_TYPES[type];
  const tensors = new Map<string, GgufTensor>();
  for (const [name, tensor] of gguf.tensors) {
    const isFloatMatrix = tensor.shape.length >= 2 && ['F32', 'F16', 'BF16'].includes(tensor.type);
    const fits = isFloatMatrix && tensor.shape[0] % blockSize === 0 && !NEVER_QUANTIZED.test(name);
    tensors.set(name, fits ? { ...tensor, type, storedType: tensor.type } : tensor);
  }
  return { ...gguf, tensors };
}
