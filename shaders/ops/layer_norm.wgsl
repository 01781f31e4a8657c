// out = (x − mean(x)) / sqrt(var(x) + eps) · weight + bias, per row (Ba, Kiros & Hinton 2016). x, out: [rows, COLS]. Workgroup (row).

// #import "lib/activation_f32.wgsl"

alias ActIn = f32;
alias ActOut = f32;

const BIAS: bool = false;
// x is out, which is then the only one that is bound.
const IN_PLACE: bool = false;

override COLS: u32 = 1u;
override EPS: f32 = 1e-5;

const LANES = 256u;

@group(0) @binding(0) var<storage, read> x: array<ActIn>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<ActOut>;

var<workgroup> sums: array<f32, LANES>;

fn input(at: u32) -> f32 {
  if (IN_PLACE) { return f32(out[at]); }
  return f32(x[at]);
}

// The sum of all lanes' values; begins and ends with the memory free.
fn total(lane: u32, value: f32) -> f32 {
  sums[lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  let sum = sums[0];
  workgroupBarrier();
  return sum;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * COLS;
  var sum = 0.0;
  for (var col = lane; col < COLS; col += LANES) { sum += input(first + col); }
  let mean = total(lane, sum) / f32(COLS);
  var squares = 0.0;
  for (var col = lane; col < COLS; col += LANES) {
    let difference = input(first + col) - mean;
    squares += difference * difference;
  }
  let scale = 1.0 / sqrt(total(lane, squares) / f32(COLS) + EPS);
  for (var col = lane; col < COLS; col += LANES) {
    var value = (input(first + col) - mean) * scale * weight[col];
    if (BIAS) { value += bias[col]; }
    out[first + col] = kept(value);
  }
}
