import { halfToNumber, numberToHalf } from '../half';
import { type EncodableFormat, readU16, writeU16 } from './block_format';

const SIZE = 32;
const BYTES = 34;

/** 32 values: a half scale d, then 32 signed bytes q; value = d·q. */
export const q8_0: EncodableFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const d = halfToNumber(readU16(bytes, at));
      for (let i = 0; i < SIZE; i++) out[block * SIZE + i] = d * ((bytes[at + 2 + i] << 24) >> 24);
    }
  },

  encode(values, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      let largest = 0;
      for (let i = 0; i < SIZE; i++) largest = Math.max(largest, Math.abs(values[block * SIZE + i]));
      const d = Math.fround(largest / 127);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeU16(out, at, numberToHalf(d));
      for (let i = 0; i < SIZE; i++) {
        const scaled = Math.fround(values[block * SIZE + i] * inverse);
        // roundf: halves away from zero.
        out[at + 2 + i] = Math.sign(scaled) * Math.floor(Math.abs(scaled) + 0.5);
      }
    }
  },

  random(bytes, blocks, random) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      writeU16(bytes, at, numberToHalf((0.5 + random()) / 127));
      for (let i = 0; i < SIZE; i++) bytes[at + 2 + i] = Math.floor(random() * 256);
    }
  },
};
