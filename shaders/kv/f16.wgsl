// KV element type f16 by core WGSL alone: works on devices without shader-f16.

alias KvQuad = vec2<u32>;

const LARGEST_F16 = 65504.0;

// pack2x16float leaves values beyond the type's range undefined: clamp to its largest.
fn kv_pack(values: vec4<f32>) -> KvQuad {
  let v = clamp(values, vec4<f32>(-LARGEST_F16), vec4<f32>(LARGEST_F16));
  return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw));
}

fn kv_unpack(quad: KvQuad) -> vec4<f32> { return vec4<f32>(unpack2x16float(quad.x), unpack2x16float(quad.y)); }
