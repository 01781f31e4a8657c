// out[r, j] = silu(x[r, j]) · x[r, COLS + j] (Shazeer 2020). x: [rows, 2·COLS], out: [rows, COLS]. Workgroup (256
// columns, row).

alias ActIn = f32;
alias ActOut = f32;

override COLS: u32 = 1u;

const LANES = 256u;

@group(0) @binding(0) var<storage, read> x: array<ActIn>;
@group(0) @binding(1) var<storage, read_write> out: array<ActOut>;

// The exponential's argument is never positive, so that nothing overflows on the way.
fn silu(value: f32) -> f32 {
  let e = exp(-abs(value));
  return value * select(e, 1.0, value >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let col = group.x * LANES + lane;
  if (col >= COLS) { return; }
  let gate = group.y * 2u * COLS + col;
  out[group.y * COLS + col] = ActOut(silu(f32(x[gate])) * f32(x[gate + COLS]));
}
