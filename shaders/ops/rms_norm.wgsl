// out = SCALE · x / sqrt(mean(x²) + eps) · weight, per group of COLS columns (Zhang & Sennrich 2019); with ACCUMULATE
// added to what out holds, with OUT_SCALE then multiplied by out_scale. x, out: [rows, groups·COLS]. Workgroup (row,
// group).

// #import "lib/activation_f32.wgsl"

alias ActIn = f32;
alias ActOut = f32;

override COLS: u32 = 1u;
override EPS: f32 = 1e-5;
override SCALE: f32 = 1.0;

const LANES = 256u;
const ACCUMULATE = false;
const OUT_SCALE = false;

@group(0) @binding(0) var<storage, read> x: array<ActIn>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> out_scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<ActOut>;

var<workgroup> sums: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let first = (group.x * groups.y + group.y) * COLS;
  var sum = 0.0;
  for (var col = lane; col < COLS; col += LANES) {
    let value = f32(x[first + col]);
    sum += value * value;
  }
  sums[lane] = sum;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  let scale = SCALE / sqrt(sums[0] / f32(COLS) + EPS);
  for (var col = lane; col < COLS; col += LANES) {
    var value = f32(x[first + col]) * scale * weight[col];
    if (ACCUMULATE) { value += f32(out[first + col]); }
    if (OUT_SCALE) { value *= out_scale[0]; }
    out[first + col] = kept(value);
  }
}
