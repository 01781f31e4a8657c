// Rows of Q4_K or Q5_K blocks into planes (src/ops/weights/layout.ts, shaders/quant/q4_k.wgsl and q5_k.wgsl). One invocation owns a pair
// of sub-blocks of 32, whose codes share 32 bytes of the file and whose (scale, minimum) share a word of the scale plane.
// In the file: halves d and dmin, 12 bytes of 6-bit scales and minimums, for Q5_K 32 bytes of fifth bits, 128 bytes of nibbles.

// #import "lib/raw_nibbles.wgsl"

// Bytes of fifth bits: 0 (Q4_K) or 32 (Q5_K).
const HIGH_BYTES: u32 = 0u;
const CODES_AT: u32 = 16u + HIGH_BYTES;
const BLOCK_BYTES: u32 = CODES_AT + 128u;
const SCALE_WORDS: u32 = 5u + HIGH_BYTES / 4u;

override BLOCKS: u32 = 8u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

// (scale, minimum) of sub-block `sub` as bytes. Of the 12 bytes at `at`, 0–3 and 4–7 hold scales and minimums 0–3 in their low 6 bits;
// bytes 8–11 hold the low nibbles of scales and minimums 4–7, whose upper bits are those left over.
fn scale_pair(at: u32, sub: u32) -> u32 {
  let shift = (sub % 4u) * 8u;
  let scale = raw_u32(at) >> shift;
  let minimum = raw_u32(at + 4u) >> shift;
  if (sub < 4u) { return (scale & 63u) | ((minimum & 63u) << 8u); }
  let low = raw_u32(at + 8u) >> shift;
  return (low & 15u) | ((scale & 0xc0u) >> 2u) | ((((low >> 4u) & 15u) | ((minimum & 0xc0u) >> 2u)) << 8u);
}

// Bit `sub` of 32 bytes: that of byte 4i + b becomes bit 8b + i.
fn fifth_bits(at: u32, sub: u32) -> u32 {
  var bits = 0u;
  for (var i = 0u; i < 8u; i++) { bits |= ((raw_u32(at + 4u * i) >> sub) & 0x01010101u) << i; }
  return bits;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let pairs = BLOCKS / 2u;
  let index = id.y * groups.x * 64u + id.x;
  let row = index / pairs;
  if (row >= params.row_count) { return; }
  let pair = index % pairs;
  let at = ((params.first_raw_row + row) * (BLOCKS / 8u) + pair / 4u) * BLOCK_BYTES;
  let target_row = params.first_row + row;
  let sub = (pair % 4u) * 2u;
  let codes = at + CODES_AT + (pair % 4u) * 32u;
  var low: vec4<u32>;
  var high: vec4<u32>;
  for (var w = 0u; w < 4u; w++) {
    let a = raw_u32(codes + w * 8u);
    let b = raw_u32(codes + w * 8u + 4u);
    low[w] = interleave(a, b);
    high[w] = interleave(a >> 4u, b >> 4u);
  }
  quants[target_row * BLOCKS + pair * 2u] = low;
  quants[target_row * BLOCKS + pair * 2u + 1u] = high;
  let to = (target_row * (BLOCKS / 8u) + pair / 4u) * SCALE_WORDS;
  if (sub == 0u) { scales[to] = raw_u32(at); }
  scales[to + 1u + pair % 4u] = scale_pair(at + 4u, sub) | (scale_pair(at + 4u, sub + 1u) << 16u);
  if (HIGH_BYTES > 0u) {
    scales[to + 5u + sub] = fifth_bits(at + 16u, sub);
    scales[to + 6u + sub] = fifth_bits(at + 16u, sub + 1u);
  }
}
