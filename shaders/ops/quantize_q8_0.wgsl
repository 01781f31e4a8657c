// Float rows into planes of Q8_0 (src/ops/weights/layout.ts), with the rounding of ggml's quantize_row_q8_0_ref: d = max|x| / 127,
// code = roundf(x · (1 / d)), d stored as a half. One invocation owns one pair of blocks of a row and so one word of the scale plane.
// Rows are whole blocks of 32.

// #import "lib/raw_rows.wgsl"
// #import "lib/raw_f32.wgsl"
// #import "lib/exact_scale.wgsl"

override BLOCKS: u32 = 1u;

@group(0) @binding(0) var<uniform> params: RepackParams;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> quants: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;

// 1, which compilers do not know: they would unroll all loops and take seconds for it.
fn one() -> u32 { return min(params.row_count, 1u); }

// Halves away from zero.
fn code(scaled: f32) -> u32 {
  let magnitude = abs(scaled);
  let floor_ = floor(magnitude);
  let steps = i32(floor_) + select(0, 1, magnitude - floor_ >= 0.5);
  return u32(select(steps, -steps, scaled < 0.0)) & 0xffu;
}

// Writes the 32 codes of the block that begins at value `first` to `to`; returns its scale's bits.
fn quantize_block(first: u32, to: u32) -> u32 {
  var largest = 0.0;
  for (var i = 0u; i < 32u * one(); i += 1u) { largest = max(largest, abs(raw_value(first + i))); }
  // Below this the scale is no half any more, and its inverse no float: all codes are 0.
  let empty = largest < 1e-30;
  let d = exact_divide(select(largest, 127.0, empty), 127.0);
  let inverse = select(exact_divide(1.0, d), 0.0, empty);
  for (var vec = 0u; vec < 2u * one(); vec += 1u) {
    var words = vec4<u32>();
    for (var word = 0u; word < 4u * one(); word += 1u) {
      var packed = 0u;
      for (var byte = 0u; byte < 4u * one(); byte += 1u) {
        packed |= code(raw_value(first + vec * 16u + word * 4u + byte) * inverse) << (byte * 8u);
      }
      words[word] = packed;
    }
    quants[to + vec] = words;
  }
  return select(exact_half(d), 0u, empty);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let pairs = (BLOCKS + 1u) / 2u;
  let index = id.y * groups.x * 64u + id.x;
  let row = index / pairs;
  if (row >= params.row_count) { return; }
  let block = (index % pairs) * 2u;
  let first = ((params.first_raw_row + row) * BLOCKS + block) * 32u;
  let target_row = params.first_row + row;
  let to = (target_row * BLOCKS + block) * 2u;
  var pair = 0u;
  for (var i = 0u; i < min(2u, BLOCKS - block); i += 1u) {
    pair |= quantize_block(first + 32u * i, to + 2u * i) << (16u * i);
  }
  scales[target_row * pairs + block / 2u] = pair;
}
