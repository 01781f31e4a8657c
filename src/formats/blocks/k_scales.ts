import { halfToNumber } from '../half';
import { readU16 } from './block_format';

/**
 * The (scale, minimum) of each of the eight sub-blocks of 32 of a Q4_K or Q5_K block: halves d and dmin, then 12 bytes of eight pairs
 * of 6 bits. The first four pairs lie whole in the low 6 bits of bytes 0–3 (scales) and 4–7 (minimums); of the others the low nibbles
 * share bytes 8–11 and the upper 2 bits those left over in bytes 0–7.
 */
export function kScaleMin(bytes: Uint8Array, at: number, sub: number): readonly [scale: number, minimum: number] {
  const d = halfToNumber(readU16(bytes, at));
  const dmin = halfToNumber(readU16(bytes, at + 2));
  const scales = at + 4 + (sub & 3);
  const minimums = scales + 4;
  if (sub < 4) return [Math.fround(d * (bytes[scales] & 63)), Math.fround(dmin * (bytes[minimums] & 63))];
  const nibbles = bytes[scales + 8];
  return [
    Math.fround(d * ((nibbles & 15) | ((bytes[scales] >>> 6) << 4))),
    Math.fround(dmin * ((nibbles >>> 4) | ((bytes[minimums] >>> 6) << 4))),
  ];
}
