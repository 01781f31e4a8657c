// Greedy choice, second half: the best of a sampled row's slices becomes its sample; the last sampled row of a segment also sets the
// slot's last token. Workgroup x = sampled row. Record layout: src/ops/sample/record.ts.

// #import "lib/step.wgsl"
// #import "lib/order_key.wgsl"
// #import "lib/workgroup_best.wgsl"

override SLICES: u32 = 1u;

const LANES = 64u;
const SAMPLE_WORDS = 44u;
const NO_LOGPROB = 0x7fc00000u;
const ACCEPTED = 0x80000000u;
const NO_CHANCE = 0x40000000u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> partials: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> samples: array<u32>;
@group(0) @binding(3) var<storage, read_write> last_tokens: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let sampled_row = group.x;
  var key = 0u;
  var token = 0xffffffffu;
  for (var slice = lane; slice < SLICES; slice += LANES) {
    let candidate = partials[sampled_row * SLICES + slice];
    if (candidate.x > key) {
      key = candidate.x;
      token = candidate.y;
    }
  }
  let best = workgroup_best(lane, key, token);
  if (lane != 0u) { return; }

  let at = sampled_row * SAMPLE_WORDS;
  samples[at] = best.y;
  samples[at + 1u] = NO_LOGPROB;
  let segment = step_segment(step_sampled_segment(sampled_row));
  let guessed = step_is_guessed(step_sampled_row(sampled_row), segment, best.y);
  samples[at + 2u] = select(0u, ACCEPTED, guessed) | select(NO_CHANCE, 0u, best.x > KEY_NEGATIVE_INFINITY);
  samples[at + 3u] = 0u;
  if (sampled_row + 1u == segment.first_sampled_row + segment.sampled_rows) { last_tokens[segment.slot] = best.y; }
}
