// Rows of IQ4_XS blocks into planes (src/ops/weights/layout.ts, shaders/quant/iq4_xs.wgsl). One invocation owns a sub-block of 32.
// In the file: half d, 16 bits with the upper bits of the scales, their low nibbles in 4 bytes, 16 bytes of codes for each sub-block.

// #import "lib/raw_nibbles.wgsl"

const BLOCK_BYTES: u32 = 136u;

override BLOCKS: u32 = 8u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let index = id.y * groups.x * 64u + id.x;
  let row = index / BLOCKS;
  if (row >= params.row_count) { return; }
  let block = index % BLOCKS;
  let part = block % 8u;
  let at = ((params.first_raw_row + row) * (BLOCKS / 8u) + block / 8u) * BLOCK_BYTES;
  let to = (params.first_row + row) * BLOCKS + block;
  quants[to] = raw_nibble_block(at + 8u + part * 16u);
  if (part < 2u) { scales[to / 8u * 2u + part] = raw_u32(at + part * 4u); }
}
