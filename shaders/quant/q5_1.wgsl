// Q5_1: 32 codes of 5 bits, a half scale d and a half minimum m a block; value = d·code + m.
// A pair of blocks takes 4 words of the scale plane: (d, m) of each, then a word of upper bits for each, as in Q5_0.

// #import "lib/code_bytes.wgsl"
// #import "lib/half_value.wgsl"
// #import "lib/nibbles.wgsl"

const QUANT_QUADS: u32 = 8u;
const QUANT_OFFSET: bool = true;
alias Codes = vec4<u32>;
struct QuantVec { low: vec4<u32>, high: u32 }

fn block_words(row: u32, vec: u32) -> u32 { return (row * ((BLOCKS + 1u) / 2u) + vec / 2u) * 4u + (vec & 1u); }

fn quant_load(row: u32, vec: u32) -> QuantVec {
  return QuantVec(quants[row * BLOCKS + vec], scales[block_words(row, vec) + 2u]);
}

fn quant_codes(packed: QuantVec, quad: u32) -> u32 {
  return nibble_quad(packed.low, quad) | (((packed.high >> quad) & 0x01010101u) << 4u);
}

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return code_bytes(quant_codes(packed, quad)); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> { return half_pair(scales[block_words(row, vec)]); }
