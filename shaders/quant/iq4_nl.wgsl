// IQ4_NL: 32 codes of 4 bits and one half scale d a block; value = d·codebook[code]. Planes as Q4_0's.

// #import "lib/half_value.wgsl"
// #import "lib/iq4_values.wgsl"
// #import "lib/nibbles.wgsl"

const QUANT_QUADS: u32 = 8u;
const QUANT_OFFSET: bool = false;
alias Codes = vec4<u32>;
alias QuantVec = vec4<u32>;

fn quant_load(row: u32, vec: u32) -> QuantVec { return quants[row * BLOCKS + vec]; }

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return iq4_values(nibble_quad(packed, quad)); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  return vec2<f32>(half_value(scales[row * ((BLOCKS + 1u) / 2u) + vec / 2u] >> ((vec & 1u) * 16u)), 0.0);
}
