// BF16: the upper halves of two f32 a word.

const QUANT_QUADS: u32 = 2u;
const QUANT_OFFSET: bool = false;
alias Codes = vec4<u32>;
alias QuantVec = vec4<u32>;

fn quant_load(row: u32, vec: u32) -> QuantVec { return quants[row * BLOCKS * 4u + vec]; }

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> {
  let pair = select(packed.xy, packed.zw, quad == 1u);
  return bitcast<vec4<f32>>(vec4<u32>(pair.x << 16u, pair.x & 0xffff0000u, pair.y << 16u, pair.y & 0xffff0000u));
}

fn quant_scale(row: u32, vec: u32) -> vec2<f32> { return vec2<f32>(1.0, 0.0); }
