import { numberToHalf } from '../half';

/** How rows of one storage type are cut into blocks, and what a block's bytes stand for. */
export interface BlockFormat {
  /** Values in a block. */
  readonly blockSize: number;
  readonly blockBytes: number;
  /**
   * Decodes `blocks` blocks that begin at `bytes[0]` into `out`, which begins with the first value. Arithmetic is f32 with one
   * rounding per operation, in the order of ggml's own decoders, so that results are the same bit for bit.
   */
  decode(bytes: Uint8Array, blocks: number, out: Float32Array): void;
  /**
   * Fills blocks with codes that are uniform over all that the format has, under scales that keep values near 1. In super-blocks every
   * fourth scale is 256 times less: subnormal halves, which files are full of.
   */
  random(bytes: Uint8Array, blocks: number, random: () => number): void;
}

/** A format that values can be turned into, with ggml's reference rounding (quantize_row_*_ref). */
export interface EncodableFormat extends BlockFormat {
  encode(values: Float32Array, blocks: number, out: Uint8Array): void;
}

export function readU16(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}

export function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff;
  bytes[at + 1] = value >>> 8;
}

/** Sets bytes [from, to) at random. */
export function randomBytes(bytes: Uint8Array, from: number, to: number, random: () => number): void {
  for (let at = from; at < to; at++) bytes[at] = Math.floor(random() * 256);
}

/** The half d of a super-block, about `size` or, one time in four, 1/256 of that. */
export function writeRandomScale(bytes: Uint8Array, at: number, size: number, random: () => number): void {
  const rare = random() < 0.25 ? 1 / 256 : 1;
  writeU16(bytes, at, numberToHalf((0.5 + random()) * size * rare));
}
