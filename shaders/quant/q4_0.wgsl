// Q4_0: 32 codes of 4 bits and one half scale d a block; value = d·code - 8·d.
// Word w of a block's vec4 holds values 8w + b (low nibble) and 8w + 4 + b (high nibble) in its byte b.

const QUANT_QUADS: u32 = 8u;
const QUANT_OFFSET: bool = true;

fn quant_quad(packed: vec4<u32>, quad: u32) -> vec4<f32> {
  let codes = (packed[quad >> 1u] >> ((quad & 1u) * 4u)) & 0x0f0f0f0fu;
  return vec4<f32>((vec4<u32>(codes) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu));
}

fn quant_scale(row: u32, block: u32) -> vec2<f32> {
  let d = unpack2x16float(scales[row * ((BLOCKS + 1u) / 2u) + block / 2u])[block & 1u];
  return vec2<f32>(d, -8.0 * d);
}
