// Gated delta rule (Yang, Kautz & Hatamizadeh 2024), row after row of a segment, with the norm and the gate of its output; see src/ops/calls.ts.
// qkv: [rows, q | k | v], gates: [rows, … | z | beta | alpha], parameters: a, dt bias, norm. state: [slot][value head][KEY_DIM][LANES].
// A lane keeps one value dimension: its column of the state is its alone. The order of all sums is fixed, so that rows that come together give
// the same bits as rows that come one by one. Workgroup (value head, segment).

// #import "lib/step.wgsl"
// #import "lib/activation_f32.wgsl"

alias ActIn = f32;
alias ActGates = f32;
alias ActOut = f32;

// Value dimensions of a head: a power of two.
const LANES: u32 = 16u;
const KEY_DIM: u32 = 16u;
// Value head h reads key head h mod KEY_HEADS; otherwise neighbouring value heads share one.
const TILED: bool = true;

override KEY_HEADS: u32 = 1u;
override VALUE_HEADS: u32 = 1u;
override GATE_COLS: u32 = 1u;
override EPS: f32 = 1e-6;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> qkv: array<ActIn>;
@group(0) @binding(2) var<storage, read> gates: array<ActGates>;
@group(0) @binding(3) var<storage, read> parameters: array<f32>;
@group(0) @binding(4) var<storage, read_write> state: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<ActOut>;

var<workgroup> q: array<f32, KEY_DIM>;
var<workgroup> k: array<f32, KEY_DIM>;
var<workgroup> sums: array<f32, LANES>;

fn sigmoid(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

fn softplus(v: f32) -> f32 { return max(v, 0.0) + log(1.0 + exp(-abs(v))); }

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
  let head = group.x;
  let segment = step_segment(group.y);
  var key_head = head * KEY_HEADS / VALUE_HEADS;
  if (TILED) { key_head = head % KEY_HEADS; }
  let key_size = KEY_HEADS * KEY_DIM;
  let cols = 2u * key_size + VALUE_HEADS * LANES;
  let column = (segment.slot * VALUE_HEADS + head) * KEY_DIM * LANES + lane;
  // Compilers must not unroll what follows: bounds that they cannot know.
  let one = min(segment.row_count, 1u);
  let keys = KEY_DIM * one;
  for (var i = 0u; i < segment.row_count; i++) {
    let row = segment.first_row + i;
    let start = row * cols;
    var q_squares = 0.0;
    var k_squares = 0.0;
    for (var d = lane; d < keys; d += LANES) {
      let q_value = f32(qkv[start + key_head * KEY_DIM + d]);
      let k_value = f32(qkv[start + key_size + key_head * KEY_DIM + d]);
      q[d] = q_value;
      k[d] = k_value;
      q_squares = fma(q_value, q_value, q_squares);
      k_squares = fma(k_value, k_value, k_squares);
    }
    let q_scale = 1.0 / (max(sqrt(total(lane, q_squares)), EPS) * sqrt(f32(KEY_DIM)));
    let k_scale = 1.0 / max(sqrt(total(lane, k_squares)), EPS);

    var gate = (row + 1u) * GATE_COLS - 2u * VALUE_HEADS + head;
    var alpha_distance = VALUE_HEADS;
    if (!TILED) {
      // The betas of a key head's value heads, then their alphas.
      let shared_by = VALUE_HEADS / KEY_HEADS;
      gate += key_head * shared_by;
      alpha_distance = shared_by;
    }
    let beta = sigmoid(f32(gates[gate]));
    let decay = exp(parameters[head] * softplus(f32(gates[gate + alpha_distance]) + parameters[VALUE_HEADS + head]));
    // Where the sequence begins there is no state yet, whatever the slot held before.
    let keep = select(decay, 0.0, segment.first_position + i == 0u);
    var predicted = 0.0;
    for (var d = 0u; d < keys; d++) {
      var s = 0.0;
      if (keep > 0.0) { s = state[column + d * LANES] * keep; }
      predicted = fma(s, k[d] * k_scale, predicted);
    }
    let delta = beta * (f32(qkv[start + 2u * key_size + head * LANES + lane]) - predicted);
    var o = 0.0;
    for (var d = 0u; d < keys; d++) {
      var s = 0.0;
      if (keep > 0.0) { s = state[column + d * LANES] * keep; }
      s = fma(k[d] * k_scale, delta, s);
      state[column + d * LANES] = s;
      o = fma(s, q[d] * q_scale, o);
    }
    let scale = inverseSqrt(total(lane, o * o) / f32(LANES) + EPS);
    let z = f32(gates[(row + 1u) * GATE_COLS - VALUE_HEADS * (LANES + 2u) + head * LANES + lane]);
    out[(row * VALUE_HEADS + head) * LANES + lane] = kept(o * scale * parameters[2u * VALUE_HEADS + lane] * (z * sigmoid(z)));
  }
}
