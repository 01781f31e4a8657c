import { halfToNumber } from '../half';
import { type BlockFormat, randomBytes, readU16, writeRandomScale } from './block_format';

const SIZE = 256;
const BYTES = 110;
const CODES = 32;
const SCALES = 96;
const D = 108;

/**
 * 256 values in sub-blocks of 16: 32 bytes whose bit r is the third bit of run r of 32 values, lower bits as in Q2_K, 16 scales of 6 bits
 * (eight bytes of nibbles: scale s in the low one, s + 8 in the high one; then four bytes of upper bits: scale s at bit 2·⌊s/4⌋ of byte
 * s mod 4), a half d; value = d·(scale − 32)·(q − 4).
 */
export const q3_k: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const d = halfToNumber(readU16(bytes, at + D));
      for (let sub = 0; sub < 16; sub++) {
        const low = (bytes[at + SCALES + (sub & 7)] >>> (4 * (sub >> 3))) & 15;
        const upper = (bytes[at + SCALES + 8 + (sub & 3)] >>> (2 * (sub >> 2))) & 3;
        const scale = Math.fround(d * ((low | (upper << 4)) - 32));
        const place = 16 * (sub & 1);
        const codes = at + CODES + 32 * (sub >> 3) + place;
        const shift = sub & 6;
        const run = sub >> 1;
        const first = block * SIZE + 16 * sub;
        for (let i = 0; i < 16; i++) {
          const high = (bytes[at + place + i] >>> run) & 1;
          out[first + i] = scale * ((((bytes[codes + i] >>> shift) & 3) | (high << 2)) - 4);
        }
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      writeRandomScale(bytes, at + D, 1 / (32 * 2), random);
    }
  },
};
