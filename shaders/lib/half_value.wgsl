// Halves by integer arithmetic: implementations may flush subnormal ones in unpack2x16float, and the scales d of super-blocks, which are
// multiplied by codes of up to 8 bits, often are subnormal.

// The value of the lower 16 bits, which are finite.
fn half_value(bits: u32) -> f32 {
  let magnitude = bits & 0x7fffu;
  let normal = bitcast<f32>((magnitude << 13u) + 0x38000000u);
  let value = select(normal, f32(magnitude) * 5.9604644775390625e-8, magnitude < 0x400u);
  return select(value, -value, (bits & 0x8000u) != 0u);
}

fn half_pair(word: u32) -> vec2<f32> { return vec2<f32>(half_value(word), half_value(word >> 16u)); }
