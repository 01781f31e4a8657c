// DoLa, second half (Chuang et al. 2024): of a sampled row that asks for it, the logits become log p(token) - log p'(token), p' being the
// distribution of the early layer that was chosen. Tokens less likely than RELATIVE_TOP times the likeliest become log p(token) - FAR: none of
// them is chosen where any other may be.
// logits, base: [sampled rows, VOCAB]. Workgroup (sampled row).

// #import "lib/step.wgsl"
// #import "lib/dola.wgsl"
// #import "lib/token_sums.wgsl"

override VOCAB: u32 = 1u;
// Its natural logarithm.
override LOG_RELATIVE_TOP: f32 = -2.302585;

override FAR: f32 = 1e4;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read> base: array<f32>;

fn both(at: u32) -> vec2<f32> { return vec2<f32>(logits[at], base[at]); }

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let row = group.x;
  if (!dola_asked(row)) { return; }
  let first = row * VOCAB;
  var largest = vec2<f32>(-3.4e38);
  for (var t = lane; t < VOCAB; t += LANES) { largest = max(largest, both(first + t)); }
  largest = max_of_lanes(lane, largest);
  var mass = vec2<f32>(0.0);
  for (var t = lane; t < VOCAB; t += LANES) { mass += exp(both(first + t) - largest); }
  let log_sum = largest + log(sum_of_lanes(lane, mass));
  let least = largest.x + LOG_RELATIVE_TOP;
  for (var t = lane; t < VOCAB; t += LANES) {
    let value = both(first + t);
    let log_p = value - log_sum;
    logits[first + t] = select(log_p.x - FAR, log_p.x - log_p.y, value.x >= least);
  }
}
