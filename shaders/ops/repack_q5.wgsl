// Rows of Q5_0 or Q5_1 blocks into planes (src/ops/weights/layout.ts, shaders/quant/q5_0.wgsl and q5_1.wgsl). One invocation owns a pair
// of blocks of a row and so whole words of the scale plane.
// In the file: d (Q5_1: d and m), a word whose bit i is the fifth bit of value i, 16 bytes of nibbles.

// #import "lib/raw_nibbles.wgsl"

// Bytes before the fifth bits: 2 (d) or 4 (d, m).
const HEADER_BYTES: u32 = 2u;
const BLOCK_BYTES: u32 = HEADER_BYTES + 20u;
// Words of the scale plane that a pair of blocks takes.
const PAIR_WORDS: u32 = select(4u, 3u, HEADER_BYTES == 2u);

override BLOCKS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

// Bit 4i + b becomes bit 8b + i.
fn spread_bits(word: u32) -> u32 {
  var bits = 0u;
  for (var i = 0u; i < 8u; i++) { bits |= ((((word >> (4u * i)) & 15u) * 0x00204081u) & 0x01010101u) << i; }
  return bits;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let pairs = (BLOCKS + 1u) / 2u;
  let index = id.y * groups.x * 64u + id.x;
  let row = index / pairs;
  if (row >= params.row_count) { return; }
  let block = (index % pairs) * 2u;
  let at = ((params.first_raw_row + row) * BLOCKS + block) * BLOCK_BYTES;
  let next = at + BLOCK_BYTES;
  let target_row = params.first_row + row;
  let to = target_row * BLOCKS + block;
  let second = block + 1u < BLOCKS;
  quants[to] = raw_nibble_block(at + HEADER_BYTES + 4u);
  let high = spread_bits(raw_u32(at + HEADER_BYTES));
  var next_high = 0u;
  if (second) {
    quants[to + 1u] = raw_nibble_block(next + HEADER_BYTES + 4u);
    next_high = spread_bits(raw_u32(next + HEADER_BYTES));
  }
  let words = (target_row * pairs + block / 2u) * PAIR_WORDS;
  if (HEADER_BYTES == 4u) {
    scales[words] = raw_u32(at);
    if (second) { scales[words + 1u] = raw_u32(next); }
    scales[words + 2u] = high;
    scales[words + 3u] = next_high;
  } else {
    var d = raw_u16(at);
    if (second) { d |= raw_u16(next) << 16u; }
    scales[words] = d;
    scales[words + 1u] = high;
    scales[words + 2u] = next_high;
  }
}
