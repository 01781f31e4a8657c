// Queries that are stored with a gate each: x is [rows, head][query | gate]. Takes the queries, or multiplies an input by the gates' sigmoids.
// out: [rows, OUT_COLS]. Workgroup (64 columns, row).

alias ActX = f32;
alias ActIn = f32;
alias ActOut = f32;

const APPLY: bool = false;

override HEAD_DIM: u32 = 4u;
// Heads times HEAD_DIM.
override SIZE: u32 = 4u;
override OUT_COLS: u32 = 4u;

@group(0) @binding(0) var<storage, read> x: array<ActX>;
@group(0) @binding(1) var<storage, read> input: array<ActIn>;
@group(0) @binding(2) var<storage, read_write> out: array<ActOut>;

fn sigmoid(v: f32) -> f32 {
  let e = exp(-abs(v));
  return select(e, 1.0, v >= 0.0) / (1.0 + e);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let i = id.x;
  let row = id.y;
  if (i >= SIZE) { return; }
  let query = row * 2u * SIZE + i / HEAD_DIM * 2u * HEAD_DIM + i % HEAD_DIM;
  var value = f32(x[query]);
  if (APPLY) { value = f32(input[row * SIZE + i]) * sigmoid(f32(x[query + HEAD_DIM])); }
  out[row * OUT_COLS + i] = ActOut(value);
}
