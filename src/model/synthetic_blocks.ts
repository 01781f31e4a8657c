/**
 * Random blocks of every storage type, described by the few bytes that are not random: scales, minimums, exponents. Offsets are those
 * of ggml-common.h.
 */
import { InternalError } from '../errors';
import { GGML_TYPES, type GgmlType } from '../formats/gguf/ggml_types';
import { numberToHalf } from '../formats/half';
import type { WeightFormat } from '../formats/weight_format';

/** Byte `at` of each block becomes `(random & keep) | bits`. */
export interface FixedByte {
  readonly at: number;
  readonly keep: number;
  readonly bits: number;
}

/** Fixed bytes that give values a standard deviation of `deviation`. */
type BlockPattern = (deviation: number) => readonly FixedByte[];

const SIGN = 0x80;

/** A half at byte `at`; with a random sign it keeps codes whose range is not symmetric from adding up. */
function half(at: number, value: number, randomSign = false): FixedByte[] {
  const bits = numberToHalf(value);
  return [
    { at, keep: 0, bits: bits & 0xff },
    { at: at + 1, keep: randomSign ? SIGN : 0, bits: bits >>> 8 },
  ];
}

/** value = d·code, where codes have the root mean square `spread`. */
function scaled(at: number, spread: number): BlockPattern {
  return (deviation) => half(at, deviation / spread, true);
}

/** value = d·code - m, where the mean of d·code is `mean` times d: m takes it away. `sign` is that of m in the format. */
function shifted(atScale: number, atMinimum: number, spread: number, mean: number, sign: 1 | -1): BlockPattern {
  return (deviation) => {
    const d = deviation / spread;
    return [...half(atScale, d), ...half(atMinimum, sign * mean * d)];
  };
}

/** Floats whose sign and mantissa are random, with one exponent: ± [1, 2) · 2^e has the root mean square √(7/3) · 2^e. */
function exponentFor(deviation: number): number {
  return Math.round(Math.log2(deviation / Math.sqrt(7 / 3)));
}

/** f32 and bf16: 8 bits of exponent across the upper two bytes. */
function float8(upper: number): BlockPattern {
  return (deviation) => {
    const biased = exponentFor(deviation) + 127;
    return [
      { at: upper - 1, keep: 0x7f, bits: (biased & 1) << 7 },
      { at: upper, keep: SIGN, bits: biased >>> 1 },
    ];
  };
}

/**
 * Root mean squares and means are those of uniform codes. The K formats multiply a uniform 6-bit (Q2_K: 4-bit) scale with the code, and a
 * uniform minimum of the same width with dmin.
 */
const PATTERNS: Readonly<Partial<Record<Lowercase<GgmlType>, BlockPattern>>> = {
  f32: float8(3),
  bf16: float8(1),
  f16: (deviation) => [{ at: 1, keep: 0x83, bits: Math.max(1, exponentFor(deviation) + 15) << 2 }],
  q4_0: scaled(0, 4.64),
  q4_1: shifted(0, 2, 4.61, 7.5, -1),
  q5_0: scaled(0, 9.25),
  q5_1: shifted(0, 2, 9.23, 15.5, -1),
  q8_0: scaled(0, 73.9),
  q2_k: shifted(80, 82, 13.87, 1.5, 1),
  q3_k: scaled(108, 43.3),
  q4_k: shifted(0, 2, 258.3, 7.5, 1),
  q5_k: shifted(0, 2, 526.9, 15.5, 1),
  q6_k: scaled(208, 1365.7),
  iq4_nl: scaled(0, 67.4),
  iq4_xs: scaled(0, 1246),
  // Values 0, .5, 1, 1.5, 2, 3, 4, 6 and their negatives times 2^(e - 127).
  mxfp4: (deviation) => [{ at: 0, keep: 0, bits: 127 + Math.round(Math.log2(deviation / 2.93)) }],
};

/** How blocks of a format are filled so that their values have about the standard deviation asked for, with a mean of about 0. */
export function blockPattern(
  format: WeightFormat,
  deviation: number,
): { readonly blockBytes: number; readonly fixed: readonly FixedByte[] } {
  const pattern = PATTERNS[format];
  if (!pattern) throw new InternalError(`there is no pattern of random ${format} blocks`);
  return { blockBytes: GGML_TYPES[format.toUpperCase() as GgmlType].blockBytes, fixed: pattern(deviation) };
}
