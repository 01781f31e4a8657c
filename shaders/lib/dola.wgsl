// What both halves of DoLa (ops/dola_*.wgsl) need: which layers a sampled row contrasts, and reductions over a row's tokens.
// Needs lib/step.wgsl. Layout of the layers: src/ops/step_layout.ts.

// The header's word that holds where the segments' layers begin.
override DOLA: u32 = 11u;

const DOLA_WORDS = 4u;
const LANES = 256u;

// 1, but no compiler knows: bounds that it knows make Mesa unroll loops over workgroup memory, for many seconds.
fn opaque_one() -> u32 { return min(step_sampled_rows(), 1u); }

var<workgroup> lane_values: array<vec2<f32>, LANES>;

// Word `index` of the bits of the layers that a sampled row contrasts: bit l % 32 of word l / 32.
fn dola_layers(row: u32, index: u32) -> u32 {
  return step_data[step_data[DOLA] + step_sampled_segment(row) * DOLA_WORDS + index];
}

fn dola_asked(row: u32) -> bool {
  return (dola_layers(row, 0u) | dola_layers(row, 1u) | dola_layers(row, 2u) | dola_layers(row, 3u)) != 0u;
}

// The sums of all lanes' values, in a fixed order; begins and ends with the memory free.
fn sum_of_lanes(lane: u32, value: vec2<f32>) -> vec2<f32> {
  lane_values[lane] = value;
  workgroupBarrier();
  for (var half = opaque_one() * (LANES / 2u); half > 0u; half /= 2u) {
    if (lane < half) { lane_values[lane] += lane_values[lane + half]; }
    workgroupBarrier();
  }
  let sum = lane_values[0];
  workgroupBarrier();
  return sum;
}

// The largest of all lanes' values.
fn max_of_lanes(lane: u32, value: vec2<f32>) -> vec2<f32> {
  lane_values[lane] = value;
  workgroupBarrier();
  for (var half = opaque_one() * (LANES / 2u); half > 0u; half /= 2u) {
    if (lane < half) { lane_values[lane] = max(lane_values[lane], lane_values[lane + half]); }
    workgroupBarrier();
  }
  let largest = lane_values[0];
  workgroupBarrier();
  return largest;
}
