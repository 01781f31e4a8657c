// Rows of Q6_K blocks into planes (src/ops/weights/layout.ts, shaders/quant/q6_k.wgsl). One invocation owns 32 values: two vectors.
// In the file each half of 128 values is four runs of 32: 64 bytes of low nibbles (runs 0 and 1 low, 2 and 3 high), 32 bytes of upper
// bits (run r at bit 2r). The order is: nibbles of both halves, upper bits of both halves, 16 signed scales, half d.

// #import "lib/raw_bit_pairs.wgsl"

const BLOCK_BYTES: u32 = 210u;
const HIGH_AT: u32 = 128u;
const SCALES_AT: u32 = 192u;
const D_AT: u32 = 208u;
const SCALE_WORDS: u32 = 21u;

override BLOCKS: u32 = 8u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

// The nibbles at `shift` of 8 bytes: those of the first four below those of the others.
fn nibbles(at: u32, shift: u32) -> u32 {
  return ((raw_u32(at) >> shift) & 0x0f0f0f0fu) | (((raw_u32(at + 4u) >> shift) & 0x0f0f0f0fu) << 4u);
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
  let half = part / 4u;
  let run = part % 4u;
  let low = at + half * 64u + (run % 2u) * 32u;
  let shift = (run / 2u) * 4u;
  let to = (target_row * BLOCKS + block) * 2u;
  quants[to] = vec2<u32>(nibbles(low, shift), nibbles(low + 8u, shift));
  quants[to + 1u] = vec2<u32>(nibbles(low + 16u, shift), nibbles(low + 24u, shift));
  let scales_to = (target_row * (BLOCKS / 8u) + block / 8u) * SCALE_WORDS;
  if (part == 0u) { scales[scales_to] = raw_u16(at + D_AT); }
  if (part < 4u) { scales[scales_to + 1u + part] = raw_u32(at + SCALES_AT + part * 4u); }
  let high = at + HIGH_AT + half * 32u;
  scales[scales_to + 5u + part * 2u] = raw_bit_pairs(high, run * 2u);
  scales[scales_to + 6u + part * 2u] = raw_bit_pairs(high + 16u, run * 2u);
}
