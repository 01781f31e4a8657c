// Rows of Q8_0 blocks into planes (src/ops/weights/layout.ts). One invocation owns one pair of blocks of a row and so one word of
// the scale plane: no two invocations write the same word, also not across the chunks that a tensor arrives in.

// #import "lib/raw_rows.wgsl"

const BLOCK_BYTES: u32 = 34u;

override BLOCKS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

fn raw_vec(at: u32) -> vec4<u32> {
  return vec4<u32>(raw_u32(at), raw_u32(at + 4u), raw_u32(at + 8u), raw_u32(at + 12u));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let pairs = (BLOCKS + 1u) / 2u;
  let index = id.y * groups.x * 64u + id.x;
  let row = index / pairs;
  if (row >= params.row_count) { return; }
  let block = (index % pairs) * 2u;
  let at = ((params.first_raw_row + row) * BLOCKS + block) * BLOCK_BYTES;
  let target_row = params.first_row + row;
  let to = (target_row * BLOCKS + block) * 2u;
  quants[to] = raw_vec(at + 2u);
  quants[to + 1u] = raw_vec(at + 18u);
  var pair = raw_u16(at);
  if (block + 1u < BLOCKS) {
    quants[to + 2u] = raw_vec(at + BLOCK_BYTES + 2u);
    quants[to + 3u] = raw_vec(at + BLOCK_BYTES + 18u);
    pair |= raw_u16(at + BLOCK_BYTES) << 16u;
  }
  scales[target_row * pairs + block / 2u] = pair;
}
