// Rows of Q4_0 or Q4_1 blocks into planes (src/ops/weights/layout.ts). One invocation owns one pair of blocks of a row and so whole
// words of the scale plane: no two invocations write the same word, also not across the chunks that a tensor arrives in.
// In the file, byte i of a block has value i in its low nibble and value 16 + i in its high one.

// #import "lib/raw_rows.wgsl"

// Bytes before the codes: 2 (d) or 4 (d, m).
const HEADER_BYTES: u32 = 2u;
const BLOCK_BYTES: u32 = HEADER_BYTES + 16u;

override BLOCKS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

// The low nibbles of `a`'s bytes below those of `b`.
fn interleave(a: u32, b: u32) -> u32 { return (a & 0x0f0f0f0fu) | ((b & 0x0f0f0f0fu) << 4u); }

fn repack_codes(at: u32) -> vec4<u32> {
  let a = raw_u32(at);
  let b = raw_u32(at + 4u);
  let c = raw_u32(at + 8u);
  let d = raw_u32(at + 12u);
  return vec4<u32>(interleave(a, b), interleave(c, d), interleave(a >> 4u, b >> 4u), interleave(c >> 4u, d >> 4u));
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
  let to = target_row * BLOCKS + block;
  let second = block + 1u < BLOCKS;
  quants[to] = repack_codes(at + HEADER_BYTES);
  if (second) { quants[to + 1u] = repack_codes(at + BLOCK_BYTES + HEADER_BYTES); }
  if (HEADER_BYTES == 4u) {
    scales[to] = raw_u32(at);
    if (second) { scales[to + 1u] = raw_u32(at + BLOCK_BYTES); }
  } else {
    var pair = raw_u16(at);
    if (second) { pair |= raw_u16(at + BLOCK_BYTES) << 16u; }
    scales[target_row * pairs + block / 2u] = pair;
  }
}
