import { halfToFloatBits, numberToHalf } from '../half';
import { type EncodableFormat, readU16, writeU16 } from './block_format';

export const f16: EncodableFormat = {
  blockSize: 1,
  blockBytes: 2,

  decode(bytes, blocks, out) {
    const bits = new Uint32Array(out.buffer, out.byteOffset, blocks);
    for (let i = 0; i < blocks; i++) bits[i] = halfToFloatBits(readU16(bytes, 2 * i));
  },

  encode(values, blocks, out) {
    for (let i = 0; i < blocks; i++) writeU16(out, 2 * i, numberToHalf(values[i]));
  },

  random(bytes, blocks, random) {
    for (let i = 0; i < blocks; i++) writeU16(bytes, 2 * i, numberToHalf(2 * random() - 1));
  },
};
