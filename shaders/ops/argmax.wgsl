// Greedy choice, first half: the best token of one slice of a sampled row's logits.
// logits: [sampled rows, VOCAB]. partials: [sampled rows, SLICES] of (order key, token). Workgroup (slice, sampled row).

// #import "lib/order_key.wgsl"
// #import "lib/workgroup_best.wgsl"

alias Act = f32;

override VOCAB: u32 = 1u;
override SLICES: u32 = 1u;
override SLICE_TOKENS: u32 = 1u;

const LANES = 256u;

@group(0) @binding(0) var<storage, read> logits: array<Act>;
@group(0) @binding(1) var<storage, read_write> partials: array<vec2<u32>>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let first = group.x * SLICE_TOKENS;
  let end = min(first + SLICE_TOKENS, VOCAB);
  var key = 0u;
  var token = 0xffffffffu;
  for (var t = first + lane; t < end; t += LANES) {
    let candidate = order_key(f32(logits[group.y * VOCAB + t]));
    // Strictly greater: of equals the lowest id stays.
    if (candidate > key) {
      key = candidate;
      token = t;
    }
  }
  let best = workgroup_best(lane, key, token);
  if (lane == 0u) { partials[group.y * SLICES + group.x] = best; }
}
