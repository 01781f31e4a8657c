// Q3_K: 256 codes of 3 bits a super-block; value = d·(s - 32)·(code - 4) with a scale s of 6 bits for each 16 values.
// A vector is 16 values, one word of lower bits as in Q2_K. A super-block takes 12 words of the scale plane: three of scales as in the
// file (nibbles of s and s + 8 in byte s of the first two; upper bits of s in byte s % 4 of the third, at bit 2·(s / 4)), half d, then a
// word of third bits for each two vectors: bit 8b + 4v + i belongs to value 4i + b of vector v.

// #import "lib/code_bytes.wgsl"
// #import "lib/half_value.wgsl"

const QUANT_QUADS: u32 = 4u;
const QUANT_OFFSET: bool = true;
alias Codes = u32;
struct QuantVec { low: u32, high: u32 }

fn super_block(row: u32, vec: u32) -> u32 { return (row * BLOCKS / 8u + vec / 16u) * 12u; }

fn quant_load(row: u32, vec: u32) -> QuantVec {
  let high = scales[super_block(row, vec) + 4u + (vec % 16u) / 2u] >> ((vec & 1u) * 4u);
  return QuantVec(quants[row * BLOCKS * 2u + vec], high);
}

fn quant_codes(packed: QuantVec, quad: u32) -> u32 {
  return ((packed.low >> (quad * 2u)) & 0x03030303u) | (((packed.high >> quad) & 0x01010101u) << 2u);
}

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return code_bytes(quant_codes(packed, quad)); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  let at = super_block(row, vec);
  let part = vec % 16u;
  let byte_shift = (part & 3u) * 8u;
  let low = scales[at + (part % 8u) / 4u] >> (byte_shift + (part / 8u) * 4u);
  let upper = scales[at + 2u] >> (byte_shift + (part / 4u) * 2u);
  let scale = half_value(scales[at + 3u]) * f32(i32((low & 15u) | ((upper & 3u) << 4u)) - 32);
  return vec2<f32>(scale, -4.0 * scale);
}
