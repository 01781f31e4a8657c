// F32: one value a word. A row is read in vectors of 4 · QUANT_QUADS values. All modules of this folder define the same names:
//   QUANT_QUADS            groups of four consecutive values (quads) in a vector: 1, 2, 4 or 8
//   QUANT_OFFSET           whether the second part of a vector's scale is ever other than 0
//   Codes                  element of the quants plane, one for each vector
//   QuantVec               a vector as it is read: its element of the quants plane, and what lies in the other plane
//   quant_load(row, v)     vector v of a row
//   quant_quad(vector, i)  its unscaled values 4i … 4i + 3
//   quant_codes(vector, i) those of formats of integer codes, a signed byte each
//   quant_scale(row, v)    (scale, offset) of vector v of a row: weight = scale · value + offset
// The entry file declares `override BLOCKS` (blocks of 32 in a row) and the bindings `quants: array<Codes>`, `scales: array<u32>`.
// How the planes lie: src/ops/weights/layout.ts.

const QUANT_QUADS: u32 = 1u;
const QUANT_OFFSET: bool = false;
alias Codes = vec4<u32>;
alias QuantVec = vec4<u32>;

fn quant_load(row: u32, vec: u32) -> QuantVec { return quants[row * BLOCKS * 8u + vec]; }

fn quant_quad(packed: QuantVec, quad: u32) -> vec4<f32> { return bitcast<vec4<f32>>(packed); }

fn quant_scale(row: u32, vec: u32) -> vec2<f32> { return vec2<f32>(1.0, 0.0); }
