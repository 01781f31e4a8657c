// KV element type q4_0, laid out as in read_q4_0.wgsl: the value of largest magnitude, with its sign, becomes code -8.

alias KvWord = u32;

const KV_BLOCK_QUADS = 8u;
const KV_WORD_QUADS = 2u;
const KV_BLOCK_WORDS = 5u;

fn nibbles(values: vec4<f32>, extreme: f32) -> u32 {
  var inverse = 0.0;
  if (extreme != 0.0) { inverse = -8.0 / extreme; }
  let codes = vec4<u32>(clamp(floor(values * inverse + 8.5), vec4<f32>(0.0), vec4<f32>(15.0)));
  return codes.x | (codes.y << 4u) | (codes.z << 8u) | (codes.w << 12u);
}

fn write_k(at: u32, values: vec4<f32>, next: vec4<f32>, extreme: f32) {
  let block = at / 8u * KV_BLOCK_WORDS;
  k[block + 1u + at % 8u / 2u] = nibbles(values, extreme) | (nibbles(next, extreme) << 16u);
  if (at % 8u == 0u) { k[block] = bitcast<u32>(extreme / -8.0); }
}

fn write_v(at: u32, values: vec4<f32>, next: vec4<f32>, extreme: f32) {
  let block = at / 8u * KV_BLOCK_WORDS;
  v[block + 1u + at % 8u / 2u] = nibbles(values, extreme) | (nibbles(next, extreme) << 16u);
  if (at % 8u == 0u) { v[block] = bitcast<u32>(extreme / -8.0); }
}
