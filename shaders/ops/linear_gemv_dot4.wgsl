// y = W·n(x) for a few rows with integer codes of W, by 4×8-bit dot products: as linear_gemv.wgsl, but while x is staged, each vector of it
// becomes two signed bytes a value under a scale (lib/two_bytes.wgsl). Integer sums are exact.
// x: [rows, COLS] in quads. W: planes of PART_ROWS rows. out: [rows, OUT_COLS], columns from OUT_COLUMN on.

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"
// #import "lib/linear_bias.wgsl"
// #import "lib/linear_lanes.wgsl"
// #import "lib/two_bytes.wgsl"

alias Act = f32;

// Up to 8 rows of x at a time, and as many sweeps as there is room for: 5 KiB.
const TILE_QUADS: u32 = 512u;
const TILE_SWEEPS: u32 = TILE_QUADS / (TILE_ROWS * SWEEP_QUADS);
const TILE_STRIDE: u32 = TILE_SWEEPS * SWEEP_QUADS;
const SCALE_STRIDE: u32 = TILE_SWEEPS * SWEEP_LANES;

override COLS: u32 = 4u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<Out>;

// Words of hi and lo: [tile row][sweep][quad of a lane][lane of the sweep].
var<workgroup> x_codes: array<vec2<u32>, TILE_QUADS>;
// s and s·Σ(128·hi + lo) of a vector: [tile row][sweep][lane of the sweep].
var<workgroup> x_scales: array<vec2<f32>, TILE_QUADS / QUANT_QUADS>;
// Partial sums: [slot][invocation], of four rows.
var<workgroup> tile: array<vec4<f32>, WORKGROUP * OUTS>;

// Sums over a vector of codes, of eight rows.
struct CodeSums { hi_low: vec4<i32>, lo_low: vec4<i32>, hi_high: vec4<i32>, lo_high: vec4<i32> }
struct CodeProducts { v0: CodeSums, v1: CodeSums, v2: CodeSums, v3: CodeSums }

fn normed_quad(start: u32, at: u32) -> vec4<f32> {
  if (at >= COLS / 4u) { return vec4<f32>(); }
  let v = vec4<f32>(x[start + at]);
  if (NORM) { return v * norm_weight[at]; }
  return v;
}

// Rows [first_row, first_row + TILE_ROWS) of x into the tile, an invocation for each vector; zero beyond the step's rows and x's columns.
fn load_tile(thread: u32, first_sweep: u32, sweeps: u32, first_row: u32, rows: u32, one: u32) {
  let row_vecs = sweeps * SWEEP_LANES;
  for (var item = thread; item < TILE_ROWS * row_vecs; item += WORKGROUP) {
    let r = item / row_vecs;
    let s = item % row_vecs / SWEEP_LANES;
    let lane = item % SWEEP_LANES;
    var scale = 0.0;
    var inverse = 0.0;
    var start = 0u;
    let first_quad = ((first_sweep + s) * SWEEP_LANES + lane) * QUANT_QUADS;
    if (first_row + r < rows) {
      start = source_row(first_row + r) * (COLS / 4u);
      var peak = 0.0;
      for (var quad = 0u; quad < QUANT_QUADS * one; quad++) { peak = max(peak, largest(normed_quad(start, first_quad + quad))); }
      if (peak > TINY) {
        scale = peak / CODE_MAX;
        inverse = CODE_MAX / peak;
      }
    }
    var sum = 0;
    for (var quad = 0u; quad < QUANT_QUADS * one; quad++) {
      var code = TwoBytes();
      if (inverse > 0.0) { code = two_bytes(normed_quad(start, first_quad + quad), inverse); }
      x_codes[r * TILE_STRIDE + s * SWEEP_QUADS + quad * SWEEP_LANES + lane] = code.words;
      sum += code.sum;
    }
    x_scales[r * SCALE_STRIDE + s * SWEEP_LANES + lane] = vec2<f32>(scale, scale * f32(sum));
  }
}

// Codes of four rows of x: words of hi, words of lo.
struct RowCodes { hi: vec4<u32>, lo: vec4<u32> }

fn row_codes(at: u32) -> RowCodes {
  var codes = RowCodes();
  let c0 = x_codes[at];
  codes.hi.x = c0.x;
  codes.lo.x = c0.y;
  if (TILE_ROWS > 1u) {
    let c1 = x_codes[at + TILE_STRIDE];
    let c2 = x_codes[at + 2u * TILE_STRIDE];
    let c3 = x_codes[at + 3u * TILE_STRIDE];
    codes.hi = vec4<u32>(c0.x, c1.x, c2.x, c3.x);
    codes.lo = vec4<u32>(c0.y, c1.y, c2.y, c3.y);
  }
  return codes;
}

fn rows_dot(w: u32, x_words: vec4<u32>) -> vec4<i32> {
  var sums = vec4<i32>();
  sums.x = dot4I8Packed(w, x_words.x);
  if (TILE_ROWS > 1u) {
    sums.y = dot4I8Packed(w, x_words.y);
    sums.z = dot4I8Packed(w, x_words.z);
    sums.w = dot4I8Packed(w, x_words.w);
  }
  return sums;
}

fn slot_add(before: CodeSums, w: u32, low: RowCodes, high: RowCodes) -> CodeSums {
  var sums = before;
  sums.hi_low += rows_dot(w, low.hi);
  sums.lo_low += rows_dot(w, low.lo);
  if (TILE_ROWS > 4u) {
    sums.hi_high += rows_dot(w, high.hi);
    sums.lo_high += rows_dot(w, high.lo);
  }
  return sums;
}

fn quad_add(before: CodeProducts, packed: Packed, quad: u32, place: u32) -> CodeProducts {
  var p = before;
  let at = place + quad * SWEEP_LANES;
  let low = row_codes(at);
  var high = RowCodes();
  if (TILE_ROWS > 4u) { high = row_codes(at + 4u * TILE_STRIDE); }
  p.v0 = slot_add(p.v0, quant_codes(packed.v0, quad), low, high);
  if (OUTS > 1u) { p.v1 = slot_add(p.v1, quant_codes(packed.v1, quad), low, high); }
  if (OUTS > 2u) {
    p.v2 = slot_add(p.v2, quant_codes(packed.v2, quad), low, high);
    p.v3 = slot_add(p.v3, quant_codes(packed.v3, quad), low, high);
  }
  return p;
}

// s and offset sums of four rows of x: [0] and [1].
fn row_x_scales(at: u32) -> mat2x4<f32> {
  let a = x_scales[at];
  var result = mat2x4<f32>(vec4<f32>(a.x, 0.0, 0.0, 0.0), vec4<f32>(a.y, 0.0, 0.0, 0.0));
  if (TILE_ROWS > 1u) {
    let b = x_scales[at + SCALE_STRIDE];
    let c = x_scales[at + 2u * SCALE_STRIDE];
    let d = x_scales[at + 3u * SCALE_STRIDE];
    result = mat2x4<f32>(vec4<f32>(a.x, b.x, c.x, d.x), vec4<f32>(a.y, b.y, c.y, d.y));
  }
  return result;
}

fn scaled(scale: vec2<f32>, hi: vec4<i32>, lo: vec4<i32>, by: mat2x4<f32>, sums: vec4<f32>) -> vec4<f32> {
  var result = fma(vec4<f32>(scale.x), vec4<f32>(hi * 128 + lo) * by[0], sums);
  if (QUANT_OFFSET) { result = fma(vec4<f32>(scale.y), by[1], result); }
  return result;
}

fn scale_add(scale: vec2<f32>, products: CodeSums, low: mat2x4<f32>, high: mat2x4<f32>, sums: Sums) -> Sums {
  var result = sums;
  result.low = scaled(scale, products.hi_low, products.lo_low, low, sums.low);
  if (TILE_ROWS > 4u) { result.high = scaled(scale, products.hi_high, products.lo_high, high, sums.high); }
  return result;
}

// The product of one vector of weights of each slot with its rows of x: `place` among the codes, `scale_place` among the scales.
fn vec_add(sums: SlotSums, packed: Packed, scale: Scales, place: u32, scale_place: u32, one: u32) -> SlotSums {
  var p = CodeProducts();
  if (UNROLLED) {
    p = quad_add(p, packed, 0u, place);
    p = quad_add(p, packed, 1u, place);
    p = quad_add(p, packed, 2u, place);
    p = quad_add(p, packed, 3u, place);
    if (QUANT_QUADS > 4u) {
      p = quad_add(p, packed, 4u, place);
      p = quad_add(p, packed, 5u, place);
      p = quad_add(p, packed, 6u, place);
      p = quad_add(p, packed, 7u, place);
    }
  } else {
    for (var quad = 0u; quad < QUANT_QUADS * one; quad++) { p = quad_add(p, packed, quad, place); }
  }
  let low = row_x_scales(scale_place);
  var high = mat2x4<f32>();
  if (TILE_ROWS > 4u) { high = row_x_scales(scale_place + 4u * SCALE_STRIDE); }
  var result = sums;
  result.v0 = scale_add(scale.v0, p.v0, low, high, sums.v0);
  if (OUTS > 1u) { result.v1 = scale_add(scale.v1, p.v1, low, high, sums.v1); }
  if (OUTS > 2u) {
    result.v2 = scale_add(scale.v2, p.v2, low, high, sums.v2);
    result.v3 = scale_add(scale.v3, p.v3, low, high, sums.v3);
  }
  return result;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let rows = select(step_rows(), step_sampled_rows(), SAMPLED);
  let first_row = id.z * ROWS;
  let first_out = (id.y * count.x + id.x) * (GROUPS * OUT_SLOTS);
  if (first_row >= rows || first_out >= PART_ROWS) { return; }
  let lane = thread % LANES;
  let weights = weight_rows(first_out + (thread / LANES) * OUT_SLOTS);
  // 1, but compilers do not know: bounds times this one keep them from unrolling.
  let one = min(rows, 1u);
  let sweeps = (COLS / 4u + SWEEP_QUADS - 1u) / SWEEP_QUADS * one;
  if (NORM) {
    sum_squares(thread, first_row, rows, one);
    workgroupBarrier();
    fold_squares(thread, 0u, ROWS, one);
  }

  // TILE_ROWS rows at a time: after the first ones the weights come from the cache.
  for (var tile_row = 0u; tile_row < ROWS && first_row + tile_row < rows; tile_row += TILE_ROWS) {
    // Written out: a declaration alone was seen to keep the last round's value.
    var sums = SlotSums();
    for (var first = 0u; first < sweeps; first += TILE_SWEEPS) {
      let tile_sweeps = min(sweeps - first, TILE_SWEEPS);
      load_tile(thread, first, tile_sweeps, first_row + tile_row, rows, one);
      workgroupBarrier();
      for (var s = lane / SWEEP_LANES; s < tile_sweeps; s += SPLIT) {
        let vec = (first + s) * SWEEP_LANES + lane % SWEEP_LANES;
        let packed = load_packed(weights, vec);
        let scale = load_scales(weights, vec);
        sums = vec_add(sums, packed, scale, s * SWEEP_QUADS + lane % SWEEP_LANES, s * SWEEP_LANES + lane % SWEEP_LANES, one);
      }
      workgroupBarrier();
    }
    let live_rows = min(rows - first_row - tile_row, TILE_ROWS);
    for (var i = 0u; i * 4u < live_rows; i++) {
      finish(thread, sums, sums, tile_row / 4u + i, first_out, first_row, rows, one);
    }
  }
}
