// Arithmetic with one defined rounding, for results that must be the same on every GPU: WGSL lets a division be 2.5 units off, and
// conversions to half round as they like.

// a / b rounded to nearest, ties to even, for positive normal a and b whose quotient is normal too. By long division of the mantissas.
fn exact_divide(a: f32, b: f32) -> f32 {
  let a_bits = bitcast<u32>(a);
  let b_bits = bitcast<u32>(b);
  let divisor = (b_bits & 0x7fffffu) | 0x800000u;
  var rest = (a_bits & 0x7fffffu) | 0x800000u;
  var exponent = i32(a_bits >> 23u) - i32(b_bits >> 23u) + 127;
  if (rest < divisor) {
    rest <<= 1u;
    exponent -= 1;
  }
  // The first bit is 1 now; 24 more: 23 of the mantissa and one for rounding.
  var quotient = 0u;
  for (var bit = 0u; bit < 25u; bit += 1u) {
    quotient <<= 1u;
    if (rest >= divisor) {
      rest -= divisor;
      quotient |= 1u;
    }
    rest <<= 1u;
  }
  var mantissa = quotient >> 1u;
  if ((quotient & 1u) == 1u && (rest != 0u || (mantissa & 1u) == 1u)) { mantissa += 1u; }
  // A mantissa that was rounded up to 2^24 carries into the exponent.
  return bitcast<f32>((u32(exponent) << 23u) + (mantissa - 0x800000u));
}

// The half nearest to a finite value, ties to even; infinity past 65504.
fn exact_half(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude < 0x38800000u) {
    // A subnormal half counts steps of 2^-24.
    let shift = 126u - (magnitude >> 23u);
    if (shift > 25u) { return sign; }
    let mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    let steps = mantissa >> shift;
    let rest = mantissa & ((1u << shift) - 1u);
    let half = 1u << (shift - 1u);
    return sign | (steps + select(0u, 1u, rest > half || (rest == half && (steps & 1u) == 1u)));
  }
  return sign | ((magnitude + 0xfffu + ((magnitude >> 13u) & 1u) - 0x38000000u) >> 13u);
}
