// Rows of Q2_K blocks into planes (src/ops/weights/layout.ts, shaders/quant/q2_k.wgsl). One invocation owns 32 values: two vectors.
// In the file: 16 bytes of scales and minimums, 32 bytes of codes for each half of 128 values (run r of 32 at bit 2r), halves d and dmin.

// #import "lib/raw_bit_pairs.wgsl"

const BLOCK_BYTES: u32 = 84u;
const CODES_AT: u32 = 16u;
const D_AT: u32 = 80u;
const SCALE_WORDS: u32 = 5u;

override BLOCKS: u32 = 8u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.y * groups.x * 64u + id.x;
  let row = index / BLOCKS;
  if (row >= params.row_count) { return; }
  let block = index % BLOCKS;
  let at = ((params.first_raw_row + row) * (BLOCKS / 8u) + block / 8u) * BLOCK_BYTES;
  let target_row = params.first_row + row;
  let part = block % 8u;
  let codes = at + CODES_AT + (part / 4u) * 32u;
  let shift = (part % 4u) * 2u;
  let to = (target_row * BLOCKS + block) * 2u;
  quants[to] = raw_bit_pairs(codes, shift);
  quants[to + 1u] = raw_bit_pairs(codes + 16u, shift);
  let scales_to = (target_row * (BLOCKS / 8u) + block / 8u) * SCALE_WORDS;
  if (part == 0u) { scales[scales_to] = raw_u32(at + D_AT); }
  if (part < 4u) { scales[scales_to + 1u + part] = raw_u32(at + part * 4u); }
}
