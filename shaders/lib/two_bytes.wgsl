// Values of a vector as s·(128·hi + lo) with signed bytes hi and lo, s the largest magnitude / CODE_MAX: 15 bits, finer than halves.

// 127·128: what the largest value of a vector becomes.
const CODE_MAX: f32 = 16256.0;
// Vectors below are zero: their reciprocal would not be finite.
const TINY: f32 = 1e-30;

fn largest(v: vec4<f32>) -> f32 {
  let a = abs(v);
  return max(max(a.x, a.y), max(a.z, a.w));
}

// A quad: a word of hi, a word of lo, and the sum of 128·hi + lo.
struct TwoBytes { words: vec2<u32>, sum: i32 }

fn two_bytes(v: vec4<f32>, inverse: f32) -> TwoBytes {
  let code = vec4<i32>(round(v * inverse));
  let hi = (code + vec4<i32>(64)) >> vec4<u32>(7u);
  return TwoBytes(vec2<u32>(pack4xI8(hi), pack4xI8(code - hi * 128)), code.x + code.y + code.z + code.w);
}
