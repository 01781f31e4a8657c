// Takes the samples of a step over into the slots: the last sampled row of a segment becomes the slot's last token, every sampled row
// counts as output. A dispatch of its own, because the rows of one segment read the counts while they are drawn.
// One invocation per segment, so that no two write the same slot. Record layout: src/ops/sample/record.ts.

// #import "lib/step.wgsl"

override VOCAB: u32 = 1u;

const SAMPLE_WORDS = 44u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> samples: array<u32>;
@group(0) @binding(2) var<storage, read_write> last_tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= step_segments()) { return; }
  let segment = step_segment(id.x);
  for (var i = 0u; i < segment.sampled_rows; i++) {
    let token = samples[(segment.first_sampled_row + i) * SAMPLE_WORDS];
    counts[segment.slot * VOCAB + token] += 1u;
    last_tokens[segment.slot] = token;
  }
}
