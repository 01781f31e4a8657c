// raw_f32.wgsl for bfloat16, the upper halves of f32 values.

fn raw_value(index: u32) -> f32 { return bitcast<f32>((raw[index / 2u] >> ((index & 1u) * 16u)) << 16u); }
