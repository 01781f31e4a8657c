import { halfToNumber, numberToHalf } from '../half';
import { type EncodableFormat, readU16, writeU16 } from './block_format';

const SIZE = 32;
const HALF = SIZE / 2;
const BYTES = 20;

/** 32 values: half scale d, half minimum m, then 16 bytes of nibbles as in Q4_0; value = d·q + m. */
export const q4_1: EncodableFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const first = block * SIZE;
      const d = halfToNumber(readU16(bytes, at));
      const m = halfToNumber(readU16(bytes, at + 2));
      for (let i = 0; i < HALF; i++) {
        const pair = bytes[at + 4 + i];
        out[first + i] = Math.fround((pair & 15) * d) + m;
        out[first + HALF + i] = Math.fround((pair >>> 4) * d) + m;
      }
    }
  },

  encode(values, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const first = block * SIZE;
      let min = Number.POSITIVE_INFINITY;
      let max = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < SIZE; i++) {
        min = Math.min(min, values[first + i]);
        max = Math.max(max, values[first + i]);
      }
      const d = Math.fround(Math.fround(max - min) / 15);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      const code = (value: number): number =>
        Math.min(15, Math.trunc(Math.fround(Math.fround(Math.fround(value - min) * inverse) + 0.5)));
      writeU16(out, at, numberToHalf(d));
      writeU16(out, at + 2, numberToHalf(min));
      for (let i = 0; i < HALF; i++) {
        out[at + 4 + i] = code(values[first + i]) | (code(values[first + HALF + i]) << 4);
      }
    }
  },

  random(bytes, blocks, random) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      writeU16(bytes, at, numberToHalf((0.5 + random()) / 8));
      writeU16(bytes, at + 2, numberToHalf(-0.5 - random()));
      for (let i = 0; i < HALF; i++) bytes[at + 4 + i] = Math.floor(random() * 256);
    }
  },
};
