import { halfToNumber } from '../half';
import { type BlockFormat, randomBytes, readU16, writeRandomScale } from './block_format';

const SIZE = 256;
const BYTES = 210;
const HIGH_BITS = 128;
const SCALES = 192;
const D = 208;

/**
 * 256 values in sub-blocks of 16. Each half of 128 values is four runs of 32: 64 bytes hold the low nibbles (runs 0 and 1 low, 2 and 3
 * high), 32 bytes the upper two bits (run r at bit 2r). Then 16 signed scales of 8 bits and a half d; value = d·scale·(q − 32).
 */
export const q6_k: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const d = halfToNumber(readU16(bytes, at + D));
      for (let sub = 0; sub < 16; sub++) {
        const half = sub >> 3;
        const run = (sub >> 1) & 3;
        const place = 16 * (sub & 1);
        const scale = Math.fround(d * ((bytes[at + SCALES + sub] << 24) >> 24));
        const low = at + 64 * half + 32 * (run & 1) + place;
        const high = at + HIGH_BITS + 32 * half + place;
        const shift = 4 * (run >> 1);
        const first = block * SIZE + 16 * sub;
        for (let i = 0; i < 16; i++) {
          const code = ((bytes[low + i] >>> shift) & 15) | (((bytes[high + i] >>> (2 * run)) & 3) << 4);
          out[first + i] = scale * (code - 32);
        }
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeRandomScale(bytes, at + D, 1 / (128 * 16), random);
    }
  },
};
