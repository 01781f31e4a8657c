// Q5_K: Q4_K with a fifth bit. A super-block takes 13 words of the scale plane: halves (d, dmin), four words of two byte pairs (s, m),
// then a word of upper bits for each block of 32: bit 8b + i belongs to value 4i + b.

// #import "lib/code_bytes.wgsl"
// #import "lib/half_value.wgsl"
// #import "lib/nibbles.wgsl"

const QUANT_QUADS: u32 = 8u;
const QUANT_OFFSET: bool = true;
alias Codes = vec4<u32>;
struct QuantVec { low: vec4<u32>, high: u32 }

fn super_block(row: u32, vec: u32) -> u32 { return (row * BLOCKS + vec) / 8u * 13u; }

fn quant_load(row: u32, vec: u32) -> QuantVec {
  return QuantVec(quants[row * BLOCKS + vec], scales[super_block(row, vec) + 5u + vec % 8u]);
}

fn quant_codes(packed: QuantVec, quad: u32) -> u32 {
  return nibble_quad(packed.low, quad) | (((packed.high >> quad) & 0x01010101u) << 4u);
}

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return code_bytes(quant_codes(packed, quad)); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  let at = super_block(row, vec);
  let pair = scales[at + 1u + (vec % 8u) / 2u] >> ((vec & 1u) * 16u);
  return half_pair(scales[at]) * vec2<f32>(f32(pair & 0xffu), -f32((pair >> 8u) & 0xffu));
}
