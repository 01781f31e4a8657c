const floats = new Float32Array(1);
const words = new Uint32Array(floats.buffer);

/** The bits of the f32 that a half-precision number stands for: exact, subnormals, infinities and NaN included. */
export function halfToFloatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const mantissa = half & 0x3ff;
  if (exponent === 0x1f) {
    // Conversions in hardware make a signalling NaN quiet.
    return (sign | 0x7f800000 | (mantissa << 13) | (mantissa ? 0x400000 : 0)) >>> 0;
  }
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  floats[0] = mantissa * 2 ** -24;
  return (sign | words[0]) >>> 0;
}

/** The value of a half-precision number given by its 16 bits. */
export function halfToNumber(half: number): number {
  words[0] = halfToFloatBits(half);
  return floats[0];
}

/** The 16 bits of the half-precision number nearest to `value` (rounded to f32 first, ties to even; overflow to infinity). */
export function numberToHalf(value: number): number {
  floats[0] = value;
  const bits = words[0];
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  // 65520 lies halfway between the largest half and the next power of two, and rounds up.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below the smallest normal half a step is 2^-24; scaling by a power of two is exact.
    words[0] = magnitude;
    return sign | roundHalfEven(floats[0] * 2 ** 24);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest > 0.5 ? floor + 1 : floor;
  return floor + (floor & 1);
}

/** The upper 16 bits of the f32 nearest to `value`: bfloat16, ties to even. */
export function numberToBfloat(value: number): number {
  floats[0] = value;
  const bits = words[0];
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
