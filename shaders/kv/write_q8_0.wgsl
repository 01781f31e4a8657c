// KV element type q8_0, laid out as in read_q8_0.wgsl: the largest magnitude of a block becomes code ±127.

alias KvWord = u32;

const KV_BLOCK_QUADS = 8u;
const KV_WORD_QUADS = 1u;
const KV_BLOCK_WORDS = 9u;

fn byte_word(values: vec4<f32>, extreme: f32) -> u32 {
  if (extreme == 0.0) { return 0u; }
  let codes = clamp(round(values * (127.0 / abs(extreme))), vec4<f32>(-127.0), vec4<f32>(127.0));
  let bytes = bitcast<vec4<u32>>(vec4<i32>(codes)) & vec4<u32>(255u);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

fn write_k(at: u32, values: vec4<f32>, next: vec4<f32>, extreme: f32) {
  let block = at / 8u * KV_BLOCK_WORDS;
  k[block + 1u + at % 8u] = byte_word(values, extreme);
  if (at % 8u == 0u) { k[block] = bitcast<u32>(abs(extreme) / 127.0); }
}

fn write_v(at: u32, values: vec4<f32>, next: vec4<f32>, extreme: f32) {
  let block = at / 8u * KV_BLOCK_WORDS;
  v[block + 1u + at % 8u] = byte_word(values, extreme);
  if (at % 8u == 0u) { v[block] = bitcast<u32>(abs(extreme) / 127.0); }
}
