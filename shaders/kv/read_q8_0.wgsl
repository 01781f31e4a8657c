// KV element type q8_0: blocks of 32 values of a head, nine words each: the scale as f32, then a word of four signed
// codes for each quad. See read_f32.wgsl.

alias KvWord = u32;

const KV_BLOCK_WORDS = 9u;

fn byte_quad(word: u32) -> vec4<f32> {
  let codes = vec4<i32>(bitcast<i32>(word << 24u), bitcast<i32>(word << 16u), bitcast<i32>(word << 8u), bitcast<i32>(word));
  return vec4<f32>(codes >> vec4<u32>(24u));
}

fn read_k(at: u32) -> vec4<f32> {
  let block = at / 8u * KV_BLOCK_WORDS;
  return bitcast<f32>(k[block]) * byte_quad(k[block + 1u + at % 8u]);
}

fn read_v(at: u32) -> vec4<f32> {
  let block = at / 8u * KV_BLOCK_WORDS;
  return bitcast<f32>(v[block]) * byte_quad(v[block + 1u + at % 8u]);
}
