// F32: one value a word. All modules of this folder define the same names:
//   QUANT_QUADS            groups of four consecutive values in one vec4<u32> of the quants plane; a block of 32 takes 8 / QUANT_QUADS
//   QUANT_OFFSET           whether the second part of a block's scale is ever other than 0
//   quant_quad(packed, i)  the unscaled values 4i … 4i + 3 of a vec4
//   quant_scale(row, b)    (scale, offset) of block b of a row: weight = scale · value + offset
// The entry file declares `override BLOCKS` (blocks of 32 in a row) and the bindings `quants` and `scales`.

const QUANT_QUADS: u32 = 1u;
const QUANT_OFFSET: bool = false;

fn quant_quad(packed: vec4<u32>, quad: u32) -> vec4<f32> { return bitcast<vec4<f32>>(packed); }

fn quant_scale(row: u32, block: u32) -> vec2<f32> { return vec2<f32>(1.0, 0.0); }
