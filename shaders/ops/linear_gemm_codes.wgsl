// x of a GEMM for 4×8-bit dot products, each row once: two signed bytes a value (lib/two_bytes.wgsl) under a scale a vector of the weight's
// format. One invocation a vector; zeros beyond the last column.
// x: [rows, COLS] in quads. codes: [row][pair of quads], each hi, lo, hi, lo. code_scales: [row][vector], s and s·Σ(128·hi + lo).

// #import "lib/step.wgsl"
// #import "lib/two_bytes.wgsl"

alias Act = f32;

// Rows are sampled rows; GATHER: those of x are the step's, so they are looked up.
const SAMPLED: bool = false;
const GATHER: bool = false;
const VEC_QUADS: u32 = 8u;
const VEC_PAIRS: u32 = VEC_QUADS / 2u;

override COLS: u32 = 4u;
override BLOCKS: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read_write> codes: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read_write> code_scales: array<vec2<f32>>;

fn source_row(row: u32) -> u32 {
  if (GATHER) { return step_sampled_row(row); }
  return row;
}

fn x_quad(start: u32, quad: u32) -> vec4<f32> {
  if (quad >= COLS / 4u) { return vec4<f32>(); }
  return vec4<f32>(x[start + quad]);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let rows = select(step_rows(), step_sampled_rows(), SAMPLED);
  let vecs = BLOCKS * (8u / VEC_QUADS);
  if (id.y >= rows || id.x >= vecs) { return; }
  // 1, but compilers do not know: bounds times this one keep them from unrolling.
  let one = min(rows, 1u);
  let start = source_row(id.y) * (COLS / 4u);
  let first = id.x * VEC_QUADS;
  var peak = 0.0;
  for (var i = 0u; i < VEC_QUADS * one; i++) { peak = max(peak, largest(x_quad(start, first + i))); }
  var scale = 0.0;
  var inverse = 0.0;
  if (peak > TINY) {
    scale = peak / CODE_MAX;
    inverse = CODE_MAX / peak;
  }
  var sum = 0;
  for (var i = 0u; i < VEC_PAIRS * one; i++) {
    let a = two_bytes(x_quad(start, first + 2u * i), inverse);
    let b = two_bytes(x_quad(start, first + 2u * i + 1u), inverse);
    codes[(id.y * vecs + id.x) * VEC_PAIRS + i] = vec4<u32>(a.words, b.words);
    sum += a.sum + b.sum;
  }
  code_scales[id.y * vecs + id.x] = vec2<f32>(scale, scale * f32(sum));
}
