// Q5_0: 32 codes of 5 bits and one half scale d a block; value = d·code - 16·d.
// A pair of blocks takes 3 words of the scale plane: two halves d, then a word of upper bits for each: bit 8b + i belongs to value 4i + b.

// #import "lib/code_bytes.wgsl"
// #import "lib/half_value.wgsl"
// #import "lib/nibbles.wgsl"

const QUANT_QUADS: u32 = 8u;
const QUANT_OFFSET: bool = true;
alias Codes = vec4<u32>;
struct QuantVec { low: vec4<u32>, high: u32 }

fn pair_words(row: u32, vec: u32) -> u32 { return (row * ((BLOCKS + 1u) / 2u) + vec / 2u) * 3u; }

fn quant_load(row: u32, vec: u32) -> QuantVec {
  return QuantVec(quants[row * BLOCKS + vec], scales[pair_words(row, vec) + 1u + (vec & 1u)]);
}

fn quant_codes(packed: QuantVec, quad: u32) -> u32 {
  return nibble_quad(packed.low, quad) | (((packed.high >> quad) & 0x01010101u) << 4u);
}

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return code_bytes(quant_codes(packed, quad)); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  let d = half_value(scales[pair_words(row, vec)] >> ((vec & 1u) * 16u));
  return vec2<f32>(d, -16.0 * d);
}
