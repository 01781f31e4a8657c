// out[r, j] *= sigmoid(logits[r, COLUMN]). out: [rows, COLS]; logits: [rows, LOGIT_COLS]. Workgroup (256 columns, row).

alias Act = f32;

override COLS: u32 = 1u;
override LOGIT_COLS: u32 = 1u;
override COLUMN: u32 = 0u;

const LANES = 256u;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<Act>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let col = group.x * LANES + lane;
  if (col >= COLS) { return; }
  let logit = logits[group.y * LOGIT_COLS + COLUMN];
  let at = group.y * COLS + col;
  // The exponential's argument is bounded, so that nothing overflows on the way.
  out[at] = Act(f32(out[at]) / (1.0 + exp(-max(logit, -80.0))));
}
