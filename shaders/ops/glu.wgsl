// out[r, j] = act(x[r, j]) · up[r, UP_COLUMN + j] (Shazeer 2020). x: [rows, GATE_COLS], up: [rows, UP_COLS], which may
// be the same buffer; out: [rows, COLS]. Workgroup (256 columns, row).

// #import "lib/activation_f32.wgsl"

alias ActIn = f32;
alias ActUp = f32;
alias ActOut = f32;

override COLS: u32 = 1u;
override GATE_COLS: u32 = 2u;
override UP_COLS: u32 = 2u;
override UP_COLUMN: u32 = 1u;

const LANES = 256u;
// The tanh form of GELU in place of SiLU.
const GELU = false;

@group(0) @binding(0) var<storage, read> x: array<ActIn>;
@group(0) @binding(1) var<storage, read> up: array<ActUp>;
@group(0) @binding(2) var<storage, read_write> out: array<ActOut>;

// value / (1 + e^-z). The exponential's argument is never positive, so that nothing overflows on the way.
fn gated(value: f32, z: f32) -> f32 {
  let e = exp(-abs(z));
  return value * select(e, 1.0, z >= 0.0) / (1.0 + e);
}

// (1 + tanh(z)) / 2 is the logistic function of 2z.
fn activate(value: f32) -> f32 {
  return gated(value, select(value, 1.5957691216 * value * (1.0 + 0.044715 * value * value), GELU));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let col = group.x * LANES + lane;
  if (col >= COLS) { return; }
  let gate = f32(x[group.y * GATE_COLS + col]);
  out[group.y * COLS + col] = kept(activate(gate) * f32(up[group.y * UP_COLS + UP_COLUMN + col]));
}
