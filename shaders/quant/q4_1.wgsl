// Q4_1: 32 codes of 4 bits, a half scale d and a half minimum m a block; value = d·code + m.
// Codes lie as in Q4_0; one word of the scale plane holds (d, m) of one block.

const QUANT_QUADS: u32 = 8u;
const QUANT_OFFSET: bool = true;

fn quant_quad(packed: vec4<u32>, quad: u32) -> vec4<f32> {
  let codes = (packed[quad >> 1u] >> ((quad & 1u) * 4u)) & 0x0f0f0f0fu;
  return vec4<f32>((vec4<u32>(codes) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu));
}

fn quant_scale(row: u32, block: u32) -> vec2<f32> { return unpack2x16float(scales[row * BLOCKS + block]); }
