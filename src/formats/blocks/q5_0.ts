import { halfToNumber, numberToHalf } from '../half';
import { type BlockFormat, randomBytes, readU16, writeU16 } from './block_format';

const SIZE = 32;
const HALF = SIZE / 2;
const BYTES = 22;

/** 32 values: a half scale d, 4 bytes whose bit i is the fifth bit of value i, 16 bytes of nibbles as in Q4_0; value = d·(q − 16). */
export const q5_0: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const first = block * SIZE;
      const d = halfToNumber(readU16(bytes, at));
      const lower = readU16(bytes, at + 2);
      const upper = readU16(bytes, at + 4);
      for (let i = 0; i < HALF; i++) {
        const pair = bytes[at + 6 + i];
        out[first + i] = (((pair & 15) | (((lower >>> i) & 1) << 4)) - 16) * d;
        out[first + HALF + i] = (((pair >>> 4) | (((upper >>> i) & 1) << 4)) - 16) * d;
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeU16(bytes, at, numberToHalf((random() < 0.5 ? -1 : 1) * ((0.5 + random()) / 16)));
    }
  },
};
