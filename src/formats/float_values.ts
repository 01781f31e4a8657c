import { InternalError } from '../errors';
import { bf16 } from './blocks/bf16';
import type { BlockFormat } from './blocks/block_format';
import { f16 } from './blocks/f16';
import { f32 } from './blocks/f32';
import type { WeightFormat } from './weight_format';

const FLOATS: Readonly<Partial<Record<WeightFormat, BlockFormat>>> = { f32, f16, bf16 };

/** `count` floats, exact to the bit, without the decoders of quantised formats. Throws InternalError for anything but f32, f16 and bf16. */
export function decodeFloatValues(format: WeightFormat, bytes: Uint8Array, count: number): Float32Array<ArrayBuffer> {
  const found = FLOATS[format];
  if (!found || bytes.length < count * found.blockBytes) {
    throw new InternalError(`${bytes.length} bytes of ${format} are not ${count} floats`);
  }
  const values = new Float32Array(count);
  found.decode(bytes, count, values);
  return values;
}
