// Q2_K: 256 codes of 2 bits a super-block; value = d·s·code - dmin·m with a scale s and a minimum m of 4 bits for each 16 values.
// A vector is 16 values, one word: bits 8b + 2i are value 4i + b. A super-block takes 5 words of the scale plane: halves (d, dmin), then
// a byte for each vector with s in the low nibble and m in the high one.

// #import "lib/code_bytes.wgsl"
// #import "lib/half_value.wgsl"

const QUANT_QUADS: u32 = 4u;
const QUANT_OFFSET: bool = true;
alias Codes = u32;
alias QuantVec = u32;

fn quant_load(row: u32, vec: u32) -> QuantVec { return quants[row * BLOCKS * 2u + vec]; }

fn quant_codes(packed: QuantVec, quad: u32) -> u32 {
  return (packed >> (quad * 2u)) & 0x03030303u;
}

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return code_bytes(quant_codes(packed, quad)); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  let at = (row * BLOCKS / 8u + vec / 16u) * 5u;
  let pair = scales[at + 1u + (vec % 16u) / 4u] >> ((vec & 3u) * 8u);
  return half_pair(scales[at]) * vec2<f32>(f32(pair & 15u), -f32((pair >> 4u) & 15u));
}
