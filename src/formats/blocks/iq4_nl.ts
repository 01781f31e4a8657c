import { halfToNumber, numberToHalf } from '../half';
import { type BlockFormat, randomBytes, readU16, writeU16 } from './block_format';
import { IQ4_VALUES } from './iq4_codebook';

const SIZE = 32;
const HALF = SIZE / 2;
const BYTES = 18;

/** Q4_0's bytes with a codebook in place of even steps; value = d·IQ4_VALUES[q]. */
export const iq4_nl: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const first = block * SIZE;
      const d = halfToNumber(readU16(bytes, at));
      for (let i = 0; i < HALF; i++) {
        const pair = bytes[at + 2 + i];
        out[first + i] = d * IQ4_VALUES[pair & 15];
        out[first + HALF + i] = d * IQ4_VALUES[pair >>> 4];
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeU16(bytes, at, numberToHalf((random() < 0.5 ? -1 : 1) * ((0.5 + random()) / 127)));
    }
  },
};
