// Q4_K: 256 codes of 4 bits a super-block; value = d·s·code - dmin·m with a scale s and a minimum m of 6 bits for each block of 32.
// A super-block takes 5 words of the scale plane: halves (d, dmin), then four words of two byte pairs (s, m).

// #import "lib/code_bytes.wgsl"
// #import "lib/half_value.wgsl"
// #import "lib/nibbles.wgsl"

const QUANT_QUADS: u32 = 8u;
const QUANT_OFFSET: bool = true;
alias Codes = vec4<u32>;
alias QuantVec = vec4<u32>;

fn quant_load(row: u32, vec: u32) -> QuantVec { return quants[row * BLOCKS + vec]; }

fn quant_codes(packed: QuantVec, quad: u32) -> u32 { return nibble_quad(packed, quad); }

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return code_bytes(quant_codes(packed, quad)); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  let at = (row * BLOCKS + vec) / 8u * 5u;
  let pair = scales[at + 1u + (vec % 8u) / 2u] >> ((vec & 1u) * 16u);
  return half_pair(scales[at]) * vec2<f32>(f32(pair & 0xffu), -f32((pair >> 8u) & 0xffu));
}
