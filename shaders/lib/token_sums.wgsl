// Reductions over the tokens of a row, of two distributions at a time, by a workgroup of LANES. Needs lib/step.wgsl.

const LANES = 256u;

// 1, but no compiler knows: bounds that it knows make Mesa unroll loops over workgroup memory, for many seconds.
fn opaque_one() -> u32 { return min(step_sampled_rows(), 1u); }

var<workgroup> lane_values: array<vec2<f32>, LANES>;

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
