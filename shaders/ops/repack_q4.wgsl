// Rows of Q4_0, IQ4_NL or Q4_1 blocks into planes (src/ops/weights/layout.ts). One invocation owns one pair of blocks of a row and so whole
// words of the scale plane: no two invocations write the same word, also not across the chunks that a tensor arrives in.
// In the file, byte i of a block has value i in its low nibble and value 16 + i in its high one.

// #import "lib/raw_nibbles.wgsl"

// Bytes before the codes: 2 (d) or 4 (d, m).
const HEADER_BYTES: u32 = 2u;
const BLOCK_BYTES: u32 = HEADER_BYTES + 16u;

override BLOCKS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

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
  // Most rows have an even number of blocks: then a pair begins on a word, and each word of it is read once.
  if (HEADER_BYTES == 2u && BLOCKS % 2u == 0u) {
    let word = at / 4u;
    let a = vec4<u32>(raw[word], raw[word + 1u], raw[word + 2u], raw[word + 3u]);
    let b = raw[word + 4u];
    quants[to] = nibble_block(vec4<u32>(halves_of(a.x, a.y), halves_of(a.y, a.z), halves_of(a.z, a.w), halves_of(a.w, b)));
    quants[to + 1u] = nibble_block(vec4<u32>(raw[word + 5u], raw[word + 6u], raw[word + 7u], raw[word + 8u]));
    scales[target_row * pairs + block / 2u] = (a.x & 0xffffu) | (b & 0xffff0000u);
    return;
  }
  let second = block + 1u < BLOCKS;
  quants[to] = raw_nibble_block(at + HEADER_BYTES);
  if (second) { quants[to + 1u] = raw_nibble_block(at + BLOCK_BYTES + HEADER_BYTES); }
  if (HEADER_BYTES == 4u) {
    scales[to] = raw_u32(at);
    if (second) { scales[to + 1u] = raw_u32(at + BLOCK_BYTES); }
  } else {
    var pair = raw_u16(at);
    if (second) { pair |= raw_u16(at + BLOCK_BYTES) << 16u; }
    scales[target_row * pairs + block / 2u] = pair;
  }
}
