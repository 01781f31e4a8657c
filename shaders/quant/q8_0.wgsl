// Q8_0: 32 signed bytes and one half scale d a block; value = d·code. Four values a word, in order.

// #import "lib/half_value.wgsl"

const QUANT_QUADS: u32 = 4u;
const QUANT_OFFSET: bool = false;
alias Codes = vec4<u32>;
alias QuantVec = vec4<u32>;

fn quant_load(row: u32, vec: u32) -> QuantVec { return quants[row * BLOCKS * 2u + vec]; }

fn quant_codes(packed: QuantVec, quad: u32) -> u32 { return packed[quad]; }

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> {
  return vec4<f32>((vec4<i32>(i32(packed[quad])) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}

fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  let block = vec / 2u;
  return vec2<f32>(half_value(scales[row * ((BLOCKS + 1u) / 2u) + block / 2u] >> ((block & 1u) * 16u)), 0.0);
}
