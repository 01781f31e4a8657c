// Attention of few query rows, second half: the splits of a row are put together in the order of their positions.
// partials: see attention_decode.wgsl. sinks: one logit per head that joins the sum and has no value. out: [rows,
// NUM_HEADS, HEAD_DIM]. Workgroup (64 quads of a row's heads, row).

// #import "lib/step.wgsl"
// #import "lib/attention_mask.wgsl"
// #import "lib/online_softmax.wgsl"

alias Act = f32;

override NUM_HEADS: u32 = 1u;
override QUADS: u32 = 1u;
override SPLITS: u32 = 1u;
override SPLIT_POSITIONS: u32 = 256u;

const LANES = 64u;
const SINKS = false;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> sinks: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<Act>>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let index = group.x * LANES + lane;
  if (index >= NUM_HEADS * QUADS) { return; }
  let row = group.y;
  let position = step_row_position(row);
  let begin = seen_begin(position);
  let end = seen_end(position, step_segment(step_row_segment(row)).length);
  let splits = (end - 1u) / SPLIT_POSITIONS - begin / SPLIT_POSITIONS + 1u;
  let head = (row * NUM_HEADS + index / QUADS) * SPLITS;

  var best = LOWEST;
  var sum = 0.0;
  if (SINKS) {
    best = sinks[index / QUADS];
    sum = 1.0;
  }
  var values = vec4<f32>(0.0);
  for (var split = 0u; split < splits; split++) {
    let at = (head + split) * (QUADS + 1u);
    let part = partials[at + QUADS];
    let new_best = max(best, part.x);
    let shrink = exp(best - new_best);
    let weight = exp(part.x - new_best);
    sum = sum * shrink + part.y * weight;
    values = values * shrink + partials[at + index % QUADS] * weight;
    best = new_best;
  }
  out[row * NUM_HEADS * QUADS + index] = vec4<Act>(values / sum);
}
