// Float rows into planes of Q4_0 (src/ops/weights/layout.ts), with the rounding of ggml's quantize_row_q4_0_ref: d = (the value of the
// largest magnitude, the first of equal ones) / -8, code = min(15, trunc(x · (1 / d) + 8.5)), d stored as a half. One invocation owns
// one pair of blocks of a row and so one word of the scale plane. Rows are whole blocks of 32.

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

fn code(value: f32, inverse: f32) -> u32 {
  // `reserved` is 0: the product goes through an integer so that no compiler fuses it with the sum, which would round once and not twice.
  let scaled = bitcast<f32>(bitcast<u32>(value * inverse) | params.reserved);
  return u32(clamp(scaled + 8.5, 0.0, 15.0));
}

// Writes the 32 codes of the block that begins at value `first` to `to`; returns its scale's bits.
fn quantize_block(first: u32, to: u32) -> u32 {
  var extreme = 0.0;
  for (var i = 0u; i < 32u * one(); i += 1u) {
    let value = raw_value(first + i);
    if (abs(value) > abs(extreme)) { extreme = value; }
  }
  // Below this the scale is no half any more, and its inverse no float: all codes are those of 0.
  let empty = abs(extreme) < 1e-30;
  let d = select(extreme * -0.125, 1.0, empty);
  let magnitude = exact_divide(1.0, abs(d));
  let inverse = select(select(magnitude, -magnitude, d < 0.0), 0.0, empty);
  var words = vec4<u32>();
  for (var word = 0u; word < 4u * one(); word += 1u) {
    var packed = 0u;
    for (var byte = 0u; byte < 4u * one(); byte += 1u) {
      let at = first + word * 8u + byte;
      packed |= (code(raw_value(at), inverse) | (code(raw_value(at + 4u), inverse) << 4u)) << (byte * 8u);
    }
    words[word] = packed;
  }
  quants[to] = words;
  // 0 / -8 is the negative zero.
  return select(exact_half(d), select(0u, 0x8000u, extreme >= 0.0), empty);
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
  let to = target_row * BLOCKS + block;
  var pair = 0u;
  for (var i = 0u; i < min(2u, BLOCKS - block); i += 1u) {
    pair |= quantize_block(first + 32u * i, to + i) << (16u * i);
  }
  scales[target_row * pairs + block / 2u] = pair;
}
