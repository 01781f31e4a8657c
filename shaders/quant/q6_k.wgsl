// Q6_K: 256 codes of 6 bits a super-block; value = d·s·(code - 32) with a signed scale s of 8 bits for each 16 values.
// A vector is 16 values: two words of low nibbles (lib/nibbles.wgsl). A super-block takes 21 words of the scale plane: half d, four words
// of four scales, then a word of upper bits for each vector: bits 8b + 2i belong to value 4i + b.

// #import "lib/code_bytes.wgsl"
// #import "lib/half_value.wgsl"

const QUANT_QUADS: u32 = 4u;
const QUANT_OFFSET: bool = true;
alias Codes = vec2<u32>;
struct QuantVec { low: vec2<u32>, high: u32 }

fn super_block(row: u32, vec: u32) -> u32 { return (row * BLOCKS / 8u + vec / 16u) * 21u; }

fn quant_load(row: u32, vec: u32) -> QuantVec {
  return QuantVec(quants[row * BLOCKS * 2u + vec], scales[super_block(row, vec) + 5u + vec % 16u]);
}

fn quant_codes(packed: QuantVec, quad: u32) -> u32 {
  let low = (packed.low[quad >> 1u] >> ((quad & 1u) * 4u)) & 0x0f0f0f0fu;
  return low | (((packed.high >> (quad * 2u)) & 0x03030303u) << 4u);
}

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return code_bytes(quant_codes(packed, quad)); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  let at = super_block(row, vec);
  let word = scales[at + 1u + (vec % 16u) / 4u];
  let scale = half_value(scales[at]) * f32(i32(word << (24u - (vec % 4u) * 8u)) >> 24u);
  return vec2<f32>(scale, -32.0 * scale);
}
