// DoLa, first half, for one early layer (Chuang et al. 2024): where the layer's distribution of a sampled row diverges more from the last
// layer's than that of any layer before it, by the Jensen-Shannon divergence, its logits become the row's `base`.
// logits (the last layer's), early (this layer's), base: [sampled rows, VOCAB]; divergence: [sampled rows]. Workgroups (sampled rows, 1, layer + 1), of which the first
// plane works: layers share a pipeline, and how many workgroups there are tells which layer it is.

// #import "lib/step.wgsl"
// #import "lib/dola.wgsl"
// #import "lib/token_sums.wgsl"

override VOCAB: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> early: array<f32>;
@group(0) @binding(3) var<storage, read_write> base: array<f32>;
@group(0) @binding(4) var<storage, read_write> divergence: array<f32>;

// Nothing that the row contrasts was seen before this layer.
fn is_first(row: u32, layer: u32) -> bool {
  var before = dola_layers(row, layer / 32u) & ((1u << (layer % 32u)) - 1u);
  for (var i = 0u; i < layer / 32u; i++) { before |= dola_layers(row, i); }
  return before == 0u;
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = group.x;
  let layer = groups.z - 1u;
  if (group.z > 0u || ((dola_layers(row, layer / 32u) >> (layer % 32u)) & 1u) == 0u) { return; }
  let first = row * VOCAB;
  var largest = vec2<f32>(-3.4e38);
  for (var t = lane; t < VOCAB; t += LANES) {
    largest = max(largest, vec2<f32>(logits[first + t], early[first + t]));
  }
  largest = max_of_lanes(lane, largest);
  var mass = vec2<f32>(0.0);
  for (var t = lane; t < VOCAB; t += LANES) {
    mass += exp(vec2<f32>(logits[first + t], early[first + t]) - largest);
  }
  let log_sum = largest + log(sum_of_lanes(lane, mass));
  var found = 0.0;
  for (var t = lane; t < VOCAB; t += LANES) {
    let log_p = vec2<f32>(logits[first + t], early[first + t]) - log_sum;
    let p = exp(log_p);
    let middle = 0.5 * (p.x + p.y);
    if (middle > 0.0) {
      let from_middle = log_p - log(middle);
      // A probability that is zero in f32 adds nothing, however small its logarithm is.
      found += 0.5 * (select(0.0, p.x * from_middle.x, p.x > 0.0) + select(0.0, p.y * from_middle.y, p.y > 0.0));
    }
  }
  found = sum_of_lanes(lane, vec2<f32>(found, 0.0)).x;
  let better = is_first(row, layer) || found > divergence[row];
  // Every lane has compared before one of them writes.
  storageBarrier();
  workgroupBarrier();
  if (!better) { return; }
  if (lane == 0u) { divergence[row] = found; }
  for (var t = lane; t < VOCAB; t += LANES) { base[first + t] = early[first + t]; }
}
