// KV element type f16 by core WGSL alone: works on devices without shader-f16. See write_f32.wgsl.

alias KvWord = vec2<u32>;

const KV_BLOCK_QUADS = 1u;
const KV_WORD_QUADS = 1u;
const LARGEST_F16 = 65504.0;

// pack2x16float leaves values beyond the type's range undefined: clamp to its largest.
fn half_word(values: vec4<f32>) -> KvWord {
  let v = clamp(values, vec4<f32>(-LARGEST_F16), vec4<f32>(LARGEST_F16));
  return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw));
}

fn write_k(at: u32, values: vec4<f32>, next: vec4<f32>, extreme: f32) { k[at] = half_word(values); }

fn write_v(at: u32, values: vec4<f32>, next: vec4<f32>, extreme: f32) { v[at] = half_word(values); }
