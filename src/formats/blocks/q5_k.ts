import { numberToHalf } from '../half';
import { type BlockFormat, randomBytes, writeRandomScale, writeU16 } from './block_format';
import { kScaleMin } from './k_scales';

const SIZE = 256;
const BYTES = 176;
const HIGH_BITS = 16;
const LOW_BITS = 48;

/**
 * Q4_K with a fifth bit: bit s of byte i of 32 bytes belongs to value i of sub-block s. They come before the nibbles;
 * value = d·scale·q − dmin·minimum.
 */
export const q5_k: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      for (let sub = 0; sub < 8; sub++) {
        const [scale, minimum] = kScaleMin(bytes, at, sub);
        const first = block * SIZE + 32 * sub;
        const codes = at + LOW_BITS + 32 * (sub >> 1);
        const shift = 4 * (sub & 1);
        for (let i = 0; i < 32; i++) {
          const high = (bytes[at + HIGH_BITS + i] >>> sub) & 1;
          out[first + i] = Math.fround(scale * (((bytes[codes + i] >>> shift) & 15) | (high << 4))) - minimum;
        }
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeRandomScale(bytes, at, 1 / (63 * 16), random);
      writeU16(bytes, at + 2, numberToHalf((0.5 + random()) / 63));
    }
  },
};
