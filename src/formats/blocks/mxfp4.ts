import { type BlockFormat, randomBytes } from './block_format';

const SIZE = 32;
const HALF = SIZE / 2;
const BYTES = 17;

/** Twice the values of FP4 E2M1 (sign, two bits of exponent, one of mantissa). */
const VALUES = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/**
 * OCP Microscaling FP4: 32 values under one power of two, a byte e (E8M0), then 16 bytes of nibbles as in Q4_0;
 * value = 2^(e − 128)·VALUES[q]. A codebook of integers makes code 8 zero, not minus zero, as in ggml.
 */
export const mxfp4: BlockFormat = {
  blockSize: SIZE,
  blockBytes: BYTES,

  decode(bytes, blocks, out) {
    for (let block = 0; block < blocks; block++) {
      const at = block * BYTES;
      const first = block * SIZE;
      const scale = 2 ** (bytes[at] - 128);
      for (let i = 0; i < HALF; i++) {
        const pair = bytes[at + 1 + i];
        out[first + i] = VALUES[pair & 15] * scale;
        out[first + HALF + i] = VALUES[pair >>> 4] * scale;
      }
    }
  },

  random(bytes, blocks, random) {
    for (let at = 0; at < blocks * BYTES; at += BYTES) {
      randomBytes(bytes, at, at + BYTES, random);
      bytes[at] = 120 + Math.floor(random() * 7);
    }
  },
};
