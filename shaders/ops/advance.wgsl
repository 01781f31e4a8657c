// Moves a step on by one position, on the GPU: between two runs of a repeated batch (src/model/step_advance.ts). The samples of the
// run go to the history behind those of the runs before; what is left of each segment is one row, which takes the slot's last token, one position
// behind its last row.
// One workgroup. Record layout: src/ops/sample/record.ts.

const SAMPLE_WORDS = 44u;
const LANES = 64u;
const ROW_WORDS = 4u;
const SEGMENT_WORDS = 8u;
const SAMPLED_WORDS = 2u;
const TILE_WORDS = 2u;
const PENDING_TOKEN = 0xffffffffu;
// Header word: runs that are done.
const RUNS = 9u;

// Not lib/step.wgsl, which reads only.
@group(0) @binding(0) var<storage, read_write> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> samples: array<u32>;
@group(0) @binding(2) var<storage, read_write> history: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let segments = step_data[1];
  let words = step_data[2] * SAMPLE_WORDS;
  let run = step_data[RUNS];
  let first_row = step_data[4];
  let first_segment = step_data[5];
  let first_sampled = step_data[7];
  let first_tile = step_data[8];
  for (var i = lane; i < words; i += LANES) { history[run * words + i] = samples[i]; }
  // Segment s is row s, sampled row s and tile s from here on: each has been at least one of them, so that there is room.
  for (var segment = lane; segment < segments; segment += LANES) {
    let at = first_segment + segment * SEGMENT_WORDS;
    let position = step_data[at + 3u] + step_data[at + 2u];
    step_data[at + 1u] = segment;
    step_data[at + 2u] = 1u;
    step_data[at + 3u] = position;
    step_data[at + 5u] = position + 1u;
    let row = first_row + segment * ROW_WORDS;
    step_data[row] = PENDING_TOKEN;
    step_data[row + 1u] = position;
    step_data[row + 2u] = segment;
    step_data[first_sampled + segment * SAMPLED_WORDS] = segment;
    step_data[first_tile + segment * TILE_WORDS] = segment;
    step_data[first_tile + segment * TILE_WORDS + 1u] = segment;
  }
  // Every lane has read the count of runs before one of them changes it.
  storageBarrier();
  if (lane == 0u) {
    step_data[0] = segments;
    step_data[3] = segments;
    step_data[RUNS] = run + 1u;
  }
}
