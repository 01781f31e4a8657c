// Moves a decode step on by one position, on the GPU: between two runs of a repeated batch (src/model/step_advance.ts). The samples of the
// run go to the history behind those of the runs before; each row takes the slot's last token, one position further.
// One workgroup. Record layout: src/ops/sample/record.ts.

const SAMPLE_WORDS = 44u;
const LANES = 64u;
const ROW_WORDS = 4u;
const SEGMENT_WORDS = 8u;
const PENDING_TOKEN = 0xffffffffu;
// Header word: runs that are done.
const RUNS = 9u;

// Not lib/step.wgsl, which reads only.
@group(0) @binding(0) var<storage, read_write> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> samples: array<u32>;
@group(0) @binding(2) var<storage, read_write> history: array<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let rows = step_data[0];
  let segments = step_data[1];
  let words = step_data[2] * SAMPLE_WORDS;
  let run = step_data[RUNS];
  let first_row = step_data[4];
  let first_segment = step_data[5];
  for (var i = lane; i < words; i += LANES) { history[run * words + i] = samples[i]; }
  for (var row = lane; row < rows; row += LANES) {
    let at = first_row + row * ROW_WORDS;
    step_data[at] = PENDING_TOKEN;
    step_data[at + 1u] += 1u;
  }
  for (var segment = lane; segment < segments; segment += LANES) {
    let at = first_segment + segment * SEGMENT_WORDS;
    step_data[at + 3u] += 1u;
    step_data[at + 5u] += 1u;
  }
  // Every lane has read the count of runs before one of them changes it.
  storageBarrier();
  if (lane == 0u) { step_data[RUNS] = run + 1u; }
}
