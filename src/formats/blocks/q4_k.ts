import { numberToHalf } from '../half';
import { type BlockFormat, randomBytes, writeRandomScale, writeU16 } from './block_format';
import { kScaleMin } from './k_scales';

const SIZE = 256;
const BYTES = 144;
const CODES = 16;

/**
 * 256 values in sub-blocks of 32: d and dmin with 6-bit scales and minimums (k_scales.ts), then 128 bytes, of which 32 hold two
 * sub-blocks, the first in the low nibbles; value = d·scale·q − dmin·minimum.
 */
export const q4_k: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      for (let sub = 0; sub < 8; sub++) {
        const [scale, minimum] = kScaleMin(bytes, at, sub);
        const first = block * SIZE + 32 * sub;
        const codes = at + CODES + 32 * (sub >> 1);
        const shift = 4 * (sub & 1);
        for (let i = 0; i < 32; i++) {
          out[first + i] = Math.fround(scale * ((bytes[codes + i] >>> shift) & 15)) - minimum;
        }
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeRandomScale(bytes, at, 1 / (63 * 8), random);
      writeU16(bytes, at + 2, numberToHalf((0.5 + random()) / 63));
    }
  },
};
