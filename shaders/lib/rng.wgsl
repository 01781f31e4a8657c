// Philox4x32-10 (Salmon et al. 2011): a random word is a function of (key, counter). src/ops/sample/rng.ts computes the same words.

const PHILOX_MULTIPLIERS = vec2<u32>(0xd2511f53u, 0xcd9e8d57u);
const PHILOX_WEYL = vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
const PHILOX_ROUNDS = 10u;

// High 32 bits of a 64-bit product, from 16-bit halves: no partial sum overflows.
fn multiply_high(a: u32, b: u32) -> u32 {
  let a_low = a & 0xffffu;
  let a_high = a >> 16u;
  let b_low = b & 0xffffu;
  let b_high = b >> 16u;
  let cross = a_high * b_low + ((a_low * b_low) >> 16u);
  let middle = a_low * b_high + (cross & 0xffffu);
  return a_high * b_high + (cross >> 16u) + (middle >> 16u);
}

fn philox(start: vec4<u32>, start_key: vec2<u32>) -> vec4<u32> {
  var counter = start;
  var key = start_key;
  for (var round = 0u; round < PHILOX_ROUNDS; round++) {
    let high_0 = multiply_high(PHILOX_MULTIPLIERS.x, counter.x);
    let high_1 = multiply_high(PHILOX_MULTIPLIERS.y, counter.z);
    counter = vec4<u32>(
      high_1 ^ counter.y ^ key.x,
      PHILOX_MULTIPLIERS.y * counter.z,
      high_0 ^ counter.w ^ key.y,
      PHILOX_MULTIPLIERS.x * counter.x,
    );
    key += PHILOX_WEYL;
  }
  return counter;
}

// Uniform in [0, 1) from the upper 24 bits of a random word.
fn uniform_at(seed: vec2<u32>, position: u32, stream: u32) -> f32 {
  return f32(philox(vec4<u32>(position, stream, 0u, 0u), seed).x >> 8u) * 0x1p-24f;
}
