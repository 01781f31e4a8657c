// out = f(x), element by element. x, out: [rows, COLS]. Workgroup (256 columns, row).

// #import "lib/activation_f32.wgsl"

alias ActIn = f32;
alias ActOut = f32;

// 0: GELU in its tanh form (Hendrycks & Gimpel 2016), 1: SiLU, 2: ReLU squared (So et al. 2021).
const KIND: u32 = 0u;

override COLS: u32 = 1u;

const LANES = 256u;

@group(0) @binding(0) var<storage, read> x: array<ActIn>;
@group(0) @binding(1) var<storage, read_write> out: array<ActOut>;

// The exponential's argument is never positive, so that nothing overflows on the way.
fn sigmoid(value: f32) -> f32 {
  let e = exp(-abs(value));
  return select(e, 1.0, value >= 0.0) / (1.0 + e);
}

// (1 + tanh(u)) / 2 is the sigmoid of 2u; beyond ±20 both are 0 or 1 in f32, and a cube of more could overflow.
fn gelu(value: f32) -> f32 {
  let v = clamp(value, -20.0, 20.0);
  return value * sigmoid(1.5957691216057308 * (v + 0.044715 * v * v * v));
}

fn activation(value: f32) -> f32 {
  if (KIND == 0u) { return gelu(value); }
  if (KIND == 1u) { return value * sigmoid(value); }
  let positive = max(value, 0.0);
  return positive * positive;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let col = group.x * LANES + lane;
  if (col >= COLS) { return; }
  let at = group.y * COLS + col;
  out[at] = kept(activation(f32(x[at])));
}
