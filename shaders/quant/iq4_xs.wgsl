// IQ4_XS: 256 codes of 4 bits a super-block; value = d·(s - 32)·codebook[code] with a scale s of 6 bits for each block of 32.
// A super-block takes 2 words of the scale plane, as in the file: half d and 16 bits with the upper two of each s; the low nibbles of s.

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
  let at = (row * BLOCKS + vec) / 8u * 2u;
  let head = scales[at];
  let part = vec % 8u;
  let scale = ((scales[at + 1u] >> (part * 4u)) & 15u) | (((head >> (16u + part * 2u)) & 3u) << 4u);
  return vec2<f32>(half_value(head) * f32(i32(scale) - 32), 0.0);
}
