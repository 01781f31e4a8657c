import { halfToNumber } from '../half';
import { type BlockFormat, randomBytes, readU16, writeRandomScale } from './block_format';
import { IQ4_VALUES } from './iq4_codebook';

const SIZE = 256;
const BYTES = 136;
const CODES = 8;

/**
 * 256 values in sub-blocks of 32, each 16 bytes as in IQ4_NL, under scales of 6 bits: a half d, 16 bits with the upper two bits of the
 * eight scales, 4 bytes with their low nibbles; value = d·(scale − 32)·IQ4_VALUES[q].
 */
export const iq4_xs: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const d = halfToNumber(readU16(bytes, at));
      const upper = readU16(bytes, at + 2);
      for (let sub = 0; sub < 8; sub++) {
        const low = (bytes[at + 4 + (sub >> 1)] >>> (4 * (sub & 1))) & 15;
        const scale = Math.fround(d * ((low | (((upper >>> (2 * sub)) & 3) << 4)) - 32));
        const first = block * SIZE + 32 * sub;
        for (let i = 0; i < 16; i++) {
          const pair = bytes[at + CODES + 16 * sub + i];
          out[first + i] = scale * IQ4_VALUES[pair & 15];
          out[first + 16 + i] = scale * IQ4_VALUES[pair >>> 4];
        }
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeRandomScale(bytes, at, 1 / (127 * 16), random);
    }
  },
};
