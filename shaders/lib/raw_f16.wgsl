// raw_f32.wgsl for halves.

// #import "lib/half_value.wgsl"

fn raw_value(index: u32) -> f32 { return half_value(raw[index / 2u] >> ((index & 1u) * 16u)); }
