// Classifier-free guidance (Sanchez et al. 2023): the logits of a guided row become log p' + SCALE · (log p - log p'), p' being the distribution of
// the row that it is guided away from, which lies in the same step. logits: [sampled rows, VOCAB]. Workgroup (sampled row).

// #import "lib/step.wgsl"
// #import "lib/token_sums.wgsl"

override VOCAB: u32 = 1u;
// The header's word that holds where the segments' guidance begins. Layout: src/ops/step_layout.ts.
override GUIDANCE: u32 = 13u;

const GUIDANCE_WORDS = 2u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let at = step_data[GUIDANCE] + step_sampled_segment(group.x) * GUIDANCE_WORDS;
  if (step_data[at] == 0u) { return; }
  let scale = bitcast<f32>(step_data[at + 1u]);
  let own = group.x * VOCAB;
  let other = (step_data[at] - 1u) * VOCAB;
  var largest = vec2<f32>(-3.4e38);
  for (var t = lane; t < VOCAB; t += LANES) { largest = max(largest, vec2<f32>(logits[own + t], logits[other + t])); }
  largest = max_of_lanes(lane, largest);
  var mass = vec2<f32>(0.0);
  for (var t = lane; t < VOCAB; t += LANES) { mass += exp(vec2<f32>(logits[own + t], logits[other + t]) - largest); }
  let log_sum = largest + log(sum_of_lanes(lane, mass));
  for (var t = lane; t < VOCAB; t += LANES) {
    let log_p = vec2<f32>(logits[own + t], logits[other + t]) - log_sum;
    logits[own + t] = log_p.y + scale * (log_p.x - log_p.y);
  }
}
