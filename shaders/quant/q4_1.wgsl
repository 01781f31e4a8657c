// Q4_1: 32 codes of 4 bits, a half scale d and a half minimum m a block; value = d·code + m.

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

fn quant_scale(row: u32, vec: u32) -> vec2<f32> { return half_pair(scales[row * BLOCKS + vec]); }
