import { halfToNumber, numberToHalf } from '../half';
import { type BlockFormat, randomBytes, readU16, writeRandomScale, writeU16 } from './block_format';

const SIZE = 256;
const BYTES = 84;
const CODES = 16;
const D = 80;

/**
 * 256 values in sub-blocks of 16: 16 bytes with a scale (low nibble) and a minimum (high), then 2-bit codes, of which each half of 128
 * values has 32 bytes (its run r of 32 values at bit 2r), then halves d and dmin; value = d·scale·q − dmin·minimum.
 */
export const q2_k: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const d = halfToNumber(readU16(bytes, at + D));
      const dmin = halfToNumber(readU16(bytes, at + D + 2));
      for (let sub = 0; sub < 16; sub++) {
        const scale = Math.fround(d * (bytes[at + sub] & 15));
        const minimum = Math.fround(dmin * (bytes[at + sub] >>> 4));
        const codes = at + CODES + 32 * (sub >> 3) + 16 * (sub & 1);
        const shift = sub & 6;
        const first = block * SIZE + 16 * sub;
        for (let i = 0; i < 16; i++) {
          out[first + i] = Math.fround(scale * ((bytes[codes + i] >>> shift) & 3)) - minimum;
        }
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeRandomScale(bytes, at + D, 1 / 15, random);
      writeU16(bytes, at + D + 2, numberToHalf((0.5 + random()) / 15));
    }
  },
};
