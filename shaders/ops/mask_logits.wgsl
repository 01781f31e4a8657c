// Forbids tokens: logits [sampled rows, VOCAB] become -inf where the row's mask in the step buffer has no bit.
// Workgroup (256 tokens, sampled row). Layout of the masks: src/ops/step_layout.ts.

override VOCAB: u32 = 1u;
// The header's word that holds where the table of masks begins.
override MASKS: u32 = 10u;

const LANES = 256u;
const NEGATIVE_INFINITY_BITS = 0xff800000u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
// f32 by their bits: compilers may assume that no float is infinite.
@group(0) @binding(1) var<storage, read_write> logits: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let token = group.x * LANES + lane;
  let mask = step_data[step_data[MASKS] + group.y];
  if (token >= VOCAB || mask == 0u) { return; }
  if (((step_data[mask + token / 32u] >> (token % 32u)) & 1u) == 0u) {
    logits[group.y * VOCAB + token] = NEGATIVE_INFINITY_BITS;
  }
}
