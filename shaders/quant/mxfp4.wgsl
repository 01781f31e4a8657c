// MXFP4: 32 values of FP4 E2M1 under one power of two 2^(e - 127); four bytes e a word of the scale plane, a row begins on a word.

// #import "lib/nibbles.wgsl"

const QUANT_QUADS: u32 = 8u;
const QUANT_OFFSET: bool = false;
alias Codes = vec4<u32>;
alias QuantVec = vec4<u32>;

// Twice the magnitudes 0 … 6 of codes 0 … 7, a nibble each.
const MAGNITUDES: u32 = 0xc8643210u;

fn quant_load(row: u32, vec: u32) -> QuantVec { return quants[row * BLOCKS + vec]; }

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> {
  let code = vec4<u32>(nibble_quad(packed, quad)) >> vec4<u32>(0u, 8u, 16u, 24u);
  let magnitude = vec4<f32>((vec4<u32>(MAGNITUDES) >> ((code & vec4<u32>(7u)) * 4u)) & vec4<u32>(15u));
  return select(magnitude, -magnitude, (code & vec4<u32>(8u)) != vec4<u32>());
}

// Half the power of two. Of the 256 powers the two least are subnormal in f32, which GPUs may flush: they are zero here.
fn quant_scale(row: u32, vec: u32) -> vec2<f32> {
  let exponent = (scales[row * ((BLOCKS + 3u) / 4u) + vec / 4u] >> ((vec & 3u) * 8u)) & 0xffu;
  return vec2<f32>(bitcast<f32>((max(exponent, 1u) - 1u) << 23u), 0.0);
}
