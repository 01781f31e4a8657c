// KV element type f16 by core WGSL alone: works on devices without shader-f16. See read_f32.wgsl.

alias KvWord = vec2<u32>;

fn half_quad(word: KvWord) -> vec4<f32> { return vec4<f32>(unpack2x16float(word.x), unpack2x16float(word.y)); }

fn read_k(at: u32) -> vec4<f32> { return half_quad(k[at]); }

fn read_v(at: u32) -> vec4<f32> { return half_quad(v[at]); }
