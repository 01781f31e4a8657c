import { halfToNumber, numberToHalf } from '../half';
import { type BlockFormat, randomBytes, readU16, writeU16 } from './block_format';

const SIZE = 32;
const HALF = SIZE / 2;
const BYTES = 24;

/** 32 values: half scale d, half minimum m, then fifth bits and nibbles as in Q5_0; value = d·q + m. */
export const q5_1: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const first = block * SIZE;
      const d = halfToNumber(readU16(bytes, at));
      const m = halfToNumber(readU16(bytes, at + 2));
      const lower = readU16(bytes, at + 4);
      const upper = readU16(bytes, at + 6);
      for (let i = 0; i < HALF; i++) {
        const pair = bytes[at + 8 + i];
        out[first + i] = Math.fround(((pair & 15) | (((lower >>> i) & 1) << 4)) * d) + m;
        out[first + HALF + i] = Math.fround(((pair >>> 4) | (((upper >>> i) & 1) << 4)) * d) + m;
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeU16(bytes, at, numberToHalf((0.5 + random()) / 16));
      writeU16(bytes, at + 2, numberToHalf(-0.5 - random()));
    }
  },
};
