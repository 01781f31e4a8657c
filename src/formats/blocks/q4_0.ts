import { halfToNumber, numberToHalf } from '../half';
import { type EncodableFormat, readU16, writeU16 } from './block_format';

const SIZE = 32;
const HALF = SIZE / 2;
const BYTES = 18;

/** 32 values: a half scale d, then 16 bytes whose low nibbles are values 0–15 and high nibbles 16–31; value = d·(q − 8). */
export const q4_0: EncodableFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const first = block * SIZE;
      const d = halfToNumber(readU16(bytes, at));
      for (let i = 0; i < HALF; i++) {
        const pair = bytes[at + 2 + i];
        out[first + i] = ((pair & 15) - 8) * d;
        out[first + HALF + i] = ((pair >>> 4) - 8) * d;
      }
    }
  },

  encode(values, blocks, out) {
    const code = (value: number, inverse: number): number =>
      Math.min(15, Math.trunc(Math.fround(Math.fround(value * inverse) + 8.5)));
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const first = block * SIZE;
      let extreme = 0;
      for (let i = 0; i < SIZE; i++) {
        if (Math.abs(values[first + i]) > Math.abs(extreme)) extreme = values[first + i];
      }
      // The value of the largest magnitude becomes code 0, the only end of the range that reaches 8 steps.
      const d = Math.fround(extreme / -8);
      const inverse = d === 0 ? 0 : Math.fround(1 / d);
      writeU16(out, at, numberToHalf(d));
      for (let i = 0; i < HALF; i++) {
        out[at + 2 + i] = code(values[first + i], inverse) | (code(values[first + HALF + i], inverse) << 4);
      }
    }
  },

  random(bytes, blocks, random) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      writeU16(bytes, at, numberToHalf((random() < 0.5 ? -1 : 1) * ((0.5 + random()) / 8)));
      for (let i = 0; i < HALF; i++) bytes[at + 2 + i] = Math.floor(random() * 256);
    }
  },
};
