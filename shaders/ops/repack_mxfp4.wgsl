// Rows of MXFP4 blocks into planes (src/ops/weights/layout.ts, shaders/quant/mxfp4.wgsl). One invocation owns four blocks of a row and so
// a word of the scale plane. In the file: a byte of exponent, then 16 bytes of codes.

// #import "lib/raw_nibbles.wgsl"

const BLOCK_BYTES: u32 = 17u;

override BLOCKS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let fours = (BLOCKS + 3u) / 4u;
  let index = id.y * groups.x * 64u + id.x;
  let row = index / fours;
  if (row >= params.row_count) { return; }
  let first = (index % fours) * 4u;
  let target_row = params.first_row + row;
  let start = (params.first_raw_row + row) * BLOCKS;
  var exponents = 0u;
  for (var i = 0u; i < min(4u, BLOCKS - first); i++) {
    let at = (start + first + i) * BLOCK_BYTES;
    quants[target_row * BLOCKS + first + i] = raw_nibble_block(at + 1u);
    exponents |= raw_u8(at) << (8u * i);
  }
  scales[target_row * fours + first / 4u] = exponents;
}
