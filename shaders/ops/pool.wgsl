// out[i] = mean, first or last of the rows that the segment of sampled row i has in this step, or that row. x: [rows, COLS], out: [sampled, COLS].
// Workgroup (64 columns, sampled row).

// #import "lib/step.wgsl"

alias ActIn = f32;
alias ActOut = f32;

// 0: mean, 1: first, 2: last, 3: the sampled row itself.
const KIND: u32 = 0u;

override COLS: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<ActIn>;
@group(0) @binding(2) var<storage, read_write> out: array<ActOut>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= COLS || id.y >= step_sampled_rows()) { return; }
  let segment = step_segment(step_sampled_segment(id.y));
  var first = segment.first_row;
  if (KIND == 2u) { first += segment.row_count - 1u; }
  if (KIND == 3u) { first = step_sampled_row(id.y); }
  let count = select(1u, segment.row_count, KIND == 0u);
  // Rounding errors of long sums are carried along (Kahan 1965).
  var sum = 0.0;
  var lost = 0.0;
  for (var row = first; row < first + count; row++) {
    let value = f32(x[row * COLS + id.x]) - lost;
    let next = sum + value;
    lost = (next - sum) - value;
    sum = next;
  }
  out[id.y * COLS + id.x] = ActOut(sum / f32(count));
}
