// out[r, j] (+)= Σ_s weight_s · x[r, s·COLS + j] over the TOP_K slots of a row, in their order. routing: [rows, 2·TOP_K], the weights in the
// second half. Workgroup (256 columns, row).

// #import "lib/activation_f32.wgsl"

alias ActIn = f32;
alias ActOut = f32;

const ACCUMULATE: bool = false;

override COLS: u32 = 1u;
override TOP_K: u32 = 1u;

const LANES = 256u;

@group(0) @binding(0) var<storage, read> routing: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<ActIn>;
@group(0) @binding(2) var<storage, read_write> out: array<ActOut>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let col = group.x * LANES + lane;
  if (col >= COLS) { return; }
  var sum = 0.0;
  for (var slot = 0u; slot < TOP_K; slot++) {
    let weight = routing[(group.y * 2u + 1u) * TOP_K + slot];
    sum = fma(weight, f32(x[(group.y * TOP_K + slot) * COLS + col]), sum);
  }
  let at = group.y * COLS + col;
  if (ACCUMULATE) { sum += f32(out[at]); }
  out[at] = kept(sum);
}
