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

fn words(index: u32) -> vec4<u32> { return vec4<u32>(raw[index], raw[index + 1u], raw[index + 2u], raw[index + 3u]); }

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
  // Most rows have an even number of blocks: then a pair begins on a word, and each word of it is read once.
  if (BLOCKS % 2u == 0u) {
    let word = at / 4u;
    let a = words(word);
    let b = words(word + 4u);
    let c = raw[word + 8u];
    quants[to] = vec4<u32>(halves_of(a.x, a.y), halves_of(a.y, a.z), halves_of(a.z, a.w), halves_of(a.w, b.x));
    quants[to + 1u] = vec4<u32>(halves_of(b.x, b.y), halves_of(b.y, b.z), halves_of(b.z, b.w), halves_of(b.w, c));
    quants[to + 2u] = words(word + 9u);
    quants[to + 3u] = words(word + 13u);
    scales[target_row * pairs + block / 2u] = (a.x & 0xffffu) | (c & 0xffff0000u);
    return;
  }
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
