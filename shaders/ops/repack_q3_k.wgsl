// Rows of Q3_K blocks into planes (src/ops/weights/layout.ts, shaders/quant/q3_k.wgsl). One invocation owns 32 values: two vectors.
// In the file: 32 bytes of third bits (run r of 32 values at bit r), 32 bytes of lower bits for each half of 128 values (its run r at bit
// 2r), 12 bytes of scales, half d.

// #import "lib/raw_bit_pairs.wgsl"

const BLOCK_BYTES: u32 = 110u;
const CODES_AT: u32 = 32u;
const SCALES_AT: u32 = 96u;
const D_AT: u32 = 108u;
const SCALE_WORDS: u32 = 12u;

override BLOCKS: u32 = 8u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<u32>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

// Bit `run` of 32 bytes: that of byte 16v + 4i + b becomes bit 8b + 4v + i.
fn third_bits(at: u32, run: u32) -> u32 {
  var bits = 0u;
  for (var i = 0u; i < 8u; i++) { bits |= ((raw_u32(at + 4u * i) >> run) & 0x01010101u) << i; }
  return bits;
}

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
  if (part < 3u) { scales[scales_to + part] = raw_u32(at + SCALES_AT + part * 4u); }
  if (part == 3u) { scales[scales_to + 3u] = raw_u16(at + D_AT); }
  scales[scales_to + 4u + part] = third_bits(at, part);
}
