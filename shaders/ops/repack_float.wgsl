// Rows of F32, F16 or BF16 values into the quants plane (src/ops/weights/layout.ts): rows are padded with zeros to a multiple of 32
// values. One invocation writes one vec4 of a row. The scale plane is not used.

// #import "lib/raw_rows.wgsl"

const VALUE_BYTES: u32 = 4u;

override COLS: u32 = 1u;
override BLOCKS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;

// The word that begins `at` bytes into a row, of which bytes from `end` on are zero.
fn word(row_start: u32, at: u32, end: u32) -> u32 {
  if (at + 4u <= end) { return raw_u32(row_start + at); }
  if (at < end) { return raw_u16(row_start + at); }
  return 0u;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let vecs = BLOCKS * 2u * VALUE_BYTES;
  let index = id.y * groups.x * 64u + id.x;
  let row = index / vecs;
  if (row >= params.row_count) { return; }
  let vec = index % vecs;
  let end = COLS * VALUE_BYTES;
  let start = (params.first_raw_row + row) * end;
  let at = vec * 16u;
  quants[(params.first_row + row) * vecs + vec] =
    vec4<u32>(word(start, at, end), word(start, at + 4u, end), word(start, at + 8u, end), word(start, at + 12u, end));
}
