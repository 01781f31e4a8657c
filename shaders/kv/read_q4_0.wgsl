// KV element type q4_0: blocks of 32 values of a head, five words each: the scale as f32, then a word of eight codes,
// each eight more than it stands for, for two quads. See read_f32.wgsl.

alias KvWord = u32;

const KV_BLOCK_WORDS = 5u;

fn nibble_quad(word: u32, at: u32) -> vec4<f32> {
  let codes = (vec4<u32>(word >> (at % 2u * 16u)) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u);
  return vec4<f32>(codes) - 8.0;
}

fn read_k(at: u32) -> vec4<f32> {
  let block = at / 8u * KV_BLOCK_WORDS;
  return bitcast<f32>(k[block]) * nibble_quad(k[block + 1u + at % 8u / 2u], at);
}

fn read_v(at: u32) -> vec4<f32> {
  let block = at / 8u * KV_BLOCK_WORDS;
  return bitcast<f32>(v[block]) * nibble_quad(v[block + 1u + at % 8u / 2u], at);
}
