import { numberToBfloat } from '../half';
import { type EncodableFormat, readU16, writeU16 } from './block_format';

/** The upper half of an f32. */
export const bf16: EncodableFormat = {
  blockSize: 1,
  blockBytes: 2,

  decode(bytes, blocks, out) {
    const bits = new Uint32Array(out.buffer, out.byteOffset, blocks);
    for (let i = 0; i < blocks; i++) bits[i] = readU16(bytes, 2 * i) << 16;
  },

  encode(values, blocks, out) {
    for (let i = 0; i < blocks; i++) writeU16(out, 2 * i, numberToBfloat(values[i]));
  },

  random(bytes, blocks, random) {
    for (let i = 0; i < blocks; i++) writeU16(bytes, 2 * i, numberToBfloat(2 * random() - 1));
  },
};
