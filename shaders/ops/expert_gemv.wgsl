// y = W_e·n(x) for the experts e of each row, memory bound: a workgroup computes output rows of one (row, slot) pair, or with COMBINE of
// one row, Σ_s weight_s·y_s over its slots in order. What a pair's result is does not depend on any other: one row and sixteen agree to
// the bit. x: [rows, COLS] or, with SLOT_X, [rows, TOP_K·COLS], in quads. W: planes of PART_ROWS rows, OUT_ROWS of each expert together.
// routing: [rows, 2·TOP_K], indices, then weights. out: [rows, OUT_COLS]. Lanes and sweeps as in linear_gemv.wgsl.

// #import "quant/f32.wgsl"
// #import "lib/reduce_workgroup.wgsl"
// #import "lib/expert_epilogue.wgsl"
// #import "lib/activation_f32.wgsl"

alias Act = f32;
alias Out = f32;

// Weight rows that a lane computes side by side: 1, 2 or 4. With an epilogue one half are gates, the other the up projections.
const OUTS: u32 = 2u;
// Invocations that compute the same slots.
const BLOCK: u32 = 64u;
// With COMBINE several blocks share the slots of a row: block b takes slots b, b + SPLIT, …
const SPLIT: u32 = 1u;
// Sweeps of 256 columns that the lanes of an output cover side by side.
const SPLIT_K: u32 = 1u;
const NORM: bool = false;
const BIAS: bool = false;
const SLOT_X: bool = false;
const COMBINE: bool = false;
const ACCUMULATE: bool = false;
const EPILOGUE: u32 = 0u;

const SWEEP_QUADS: u32 = 64u;
const SWEEP_LANES: u32 = SWEEP_QUADS / QUANT_QUADS;
const LANES: u32 = SPLIT_K * SWEEP_LANES;
const REDUCE_LANES: u32 = LANES;
const WORKGROUP: u32 = BLOCK * SPLIT;
const GROUPS: u32 = BLOCK / LANES;
const OUT_SLOTS: u32 = select(OUTS, OUTS / 2u, EPILOGUE != 0u);
// x passes through 8 KiB of workgroup memory.
const TILE_QUADS: u32 = 512u / SPLIT;
const TILE_SWEEPS: u32 = TILE_QUADS / SWEEP_QUADS;

override COLS: u32 = 4u;
override BLOCKS: u32 = 1u;
override TOP_K: u32 = 1u;
// Rows of an expert in W.
override OUT_ROWS: u32 = 1u;
// First row of this part in the whole weight.
override FIRST_ROW: u32 = 0u;
override PART_ROWS: u32 = 1u;
override OUT_COLS: u32 = 1u;
override OUT_COLUMN: u32 = 0u;
override EPS: f32 = 0.0;

@group(0) @binding(0) var<storage, read> routing: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<Out>;

// [block][sweep][quad of a lane][lane of the sweep]; the lanes' sums at the end.
var<workgroup> tile: array<vec4<f32>, SPLIT * TILE_QUADS>;
var<workgroup> squares: array<f32, WORKGROUP>;

// The expert's output row of a lane's slot: gates first, then their up projections.
fn expert_row(base: u32, slot: u32) -> u32 {
  return base + slot % OUT_SLOTS + select(0u, OUT_ROWS / 2u, slot >= OUT_SLOTS);
}

// An expert's row in this part; PART_ROWS or more (wrapped around below) where it lies in another.
fn part_row(expert: u32, row: u32) -> u32 { return expert * OUT_ROWS + row - FIRST_ROW; }

fn dot_add(w: vec4<f32>, v: vec4<f32>, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

// Sums of products of a vector of each of the lane's rows with x, unscaled; `w` is the sum of x alone where the format has offsets.
struct Products { rows: vec4<f32>, x: f32 }
struct Packed { v0: QuantVec, v1: QuantVec, v2: QuantVec, v3: QuantVec }

fn quad_add(sums: Products, packed: Packed, quad: u32, at: u32) -> Products {
  var p = sums;
  let v = tile[at + quad * SWEEP_LANES];
  p.rows.x = dot_add(quant_quad(packed.v0, quad), v, p.rows.x);
  if (OUTS > 1u) { p.rows.y = dot_add(quant_quad(packed.v1, quad), v, p.rows.y); }
  if (OUTS > 2u) {
    p.rows.z = dot_add(quant_quad(packed.v2, quad), v, p.rows.z);
    p.rows.w = dot_add(quant_quad(packed.v3, quad), v, p.rows.w);
  }
  if (QUANT_OFFSET) { p.x = dot_add(vec4<f32>(1.0), v, p.x); }
  return p;
}

// One vector of each of the lane's rows times its columns of x. Beyond the last column x is zero: any vector in bounds will do.
fn vec_add(sums: vec4<f32>, rows: vec4<u32>, vec: u32, tile_at: u32, quads: u32) -> vec4<f32> {
  let at = min(vec, BLOCKS * (8u / QUANT_QUADS) - 1u);
  var packed: Packed;
  packed.v0 = quant_load(rows.x, at);
  if (OUTS > 1u) { packed.v1 = quant_load(rows.y, at); }
  if (OUTS > 2u) {
    packed.v2 = quant_load(rows.z, at);
    packed.v3 = quant_load(rows.w, at);
  }
  var p: Products;
  for (var quad = 0u; quad < quads; quad += QUAD_STEP) {
    p = quad_add(p, packed, quad, tile_at);
    if (QUAD_STEP > 1u) {
      p = quad_add(p, packed, quad + 1u, tile_at);
      p = quad_add(p, packed, quad + 2u, tile_at);
      p = quad_add(p, packed, quad + 3u, tile_at);
    }
  }
  var result = sums;
  result.x = scale_add(quant_scale(rows.x, at), p.rows.x, p.x, sums.x);
  if (OUTS > 1u) { result.y = scale_add(quant_scale(rows.y, at), p.rows.y, p.x, sums.y); }
  if (OUTS > 2u) {
    result.z = scale_add(quant_scale(rows.z, at), p.rows.z, p.x, sums.z);
    result.w = scale_add(quant_scale(rows.w, at), p.rows.w, p.x, sums.w);
  }
  return result;
}

// Straight code for four quads at a time, where a vector has as many.
const QUAD_STEP: u32 = select(1u, 4u, QUANT_QUADS >= 4u);

fn scale_add(scale: vec2<f32>, product: f32, x_sum: f32, sum: f32) -> f32 {
  let scaled = fma(scale.x, product, sum);
  if (QUANT_OFFSET) { return fma(scale.y, x_sum, scaled); }
  return scaled;
}

// Columns from `first` sweep on of a row of x that begins at quad `start`, weighted by the norm; returns its square sum added to `sum`.
fn load_tile(thread: u32, start: u32, first: u32, sum: f32, one: u32) -> f32 {
  var result = sum;
  let to = (thread / BLOCK) * TILE_QUADS;
  for (var item = thread % BLOCK; item < TILE_QUADS * one; item += BLOCK) {
    let place = item % SWEEP_QUADS;
    let at = first * SWEEP_QUADS + (item - place) + (place % SWEEP_LANES) * QUANT_QUADS + place / SWEEP_LANES;
    var v = vec4<f32>();
    if (at < COLS / 4u) {
      v = vec4<f32>(x[start + at]);
      if (NORM) {
        result = dot_add(v, v, result);
        v *= norm_weight[at];
      }
    }
    tile[to + item] = v;
  }
  return result;
}

// 1 / rms of the row.
fn norm_scale(one: u32) -> f32 {
  if (!NORM) { return 1.0; }
  var sum = 0.0;
  for (var i = 0u; i < WORKGROUP * one; i++) { sum += squares[i]; }
  return inverseSqrt(sum / f32(COLS) + EPS);
}

fn store(at: u32, value: f32) {
  var result = value;
  if (ACCUMULATE) { result += f32(out[at]); }
  out[at] = kept(result);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let width = select(OUT_ROWS, OUT_ROWS / 2u, EPILOGUE != 0u);
  let first_out = (id.y * count.x + id.x) * (GROUPS * OUT_SLOTS);
  if (first_out >= width) { return; }
  let row = select(id.z / TOP_K, id.z, COMBINE);
  let first_slot = select(id.z % TOP_K, 0u, COMBINE);
  // 1, but compilers do not know: bounds times this one keep them from unrolling every loop.
  let one = min(count.z, 1u);
  let slots = select(1u, TOP_K, COMBINE);
  let quads = QUANT_QUADS * one;
  let sweeps = (COLS / 4u + SWEEP_QUADS - 1u) / SWEEP_QUADS;
  let lane = thread % LANES;
  let base = first_out + (thread % BLOCK / LANES) * OUT_SLOTS;
  let block_tile = (thread / BLOCK) * TILE_QUADS;
  let wanted = vec4<u32>(
    expert_row(base, 0u),
    expert_row(base, 1u % OUTS),
    expert_row(base, 2u % OUTS),
    expert_row(base, 3u % OUTS),
  );

  var sums = vec4<f32>();
  var square_sum = 0.0;
  for (var first_of_round = 0u; first_of_round < slots * one; first_of_round += SPLIT) {
    let slot = first_slot + first_of_round + thread / BLOCK;
    let live = slot < first_slot + slots;
    var expert = 0u;
    if (live) { expert = u32(routing[row * 2u * TOP_K + slot]); }
    let begin = expert * OUT_ROWS;
    // A part without a row of this expert has nothing to read.
    let here = live && begin < FIRST_ROW + PART_ROWS && begin + OUT_ROWS > FIRST_ROW;
    let rows = vec4<u32>(
      part_row(expert, wanted.x),
      part_row(expert, wanted.y),
      part_row(expert, wanted.z),
      part_row(expert, wanted.w),
    );
    let clamped_rows = min(rows, vec4<u32>(PART_ROWS - 1u));
    let start = select(row, row * TOP_K + slot, SLOT_X) * (COLS / 4u);
    var products = vec4<f32>();
    for (var first = 0u; first < sweeps; first += TILE_SWEEPS) {
      if (here) { square_sum = load_tile(thread, start, first, square_sum, one); }
      workgroupBarrier();
      if (here) {
        for (var s = lane / SWEEP_LANES; s < min(TILE_SWEEPS, sweeps - first); s += SPLIT_K) {
          let place = lane % SWEEP_LANES;
          let tile_at = block_tile + s * SWEEP_QUADS + place;
          products = vec_add(products, clamped_rows, (first + s) * SWEEP_LANES + place, tile_at, quads);
        }
      }
      workgroupBarrier();
    }
    if (COMBINE && here) {
      let weight = routing[row * 2u * TOP_K + TOP_K + slot];
      let end = vec4<u32>(PART_ROWS);
      let in_part = rows < end;
      sums = fma(select(vec4<f32>(), vec4<f32>(weight), in_part), products, sums);
    }
    if (!COMBINE) { sums = products; }
  }

  let reduce = reduce_width();
  tile[thread] = reduce_lanes(sums, reduce);
  squares[thread] = square_sum;
  workgroupBarrier();
  let apart = reduce_shared(thread, WORKGROUP, reduce);
  for (var group = thread; group < GROUPS * one; group += WORKGROUP) {
    var total = vec4<f32>();
    for (var block = 0u; block < WORKGROUP * one; block += BLOCK) { total += reduce_rest(block + group * LANES, apart, one); }
    total *= norm_scale(one);
    let column = first_out + group * OUT_SLOTS;
    for (var slot = 0u; slot < OUT_SLOTS * one; slot++) { finish(row, first_slot, slots, column + slot, slot, total, width); }
  }
}

fn finish(row: u32, first_slot: u32, slots: u32, column: u32, out_slot: u32, total: vec4<f32>, width: u32) {
  if (column >= width) { return; }
  var value = total[out_slot];
  if (COMBINE) {
    for (var slot = 0u; slot < slots; slot++) {
      let expert = u32(routing[row * 2u * TOP_K + slot]);
      if (BIAS && part_row(expert, column) < PART_ROWS) {
        value = fma(routing[row * 2u * TOP_K + TOP_K + slot], bias[expert * OUT_ROWS + column], value);
      }
    }
    store(row * OUT_COLS + OUT_COLUMN + column, value);
    return;
  }
  let expert = u32(routing[row * 2u * TOP_K + first_slot]);
  if (part_row(expert, column) >= PART_ROWS) { return; }
  if (BIAS) { value += bias[expert * OUT_ROWS + column]; }
  if (EPILOGUE != 0u) {
    var up = total[out_slot + OUT_SLOTS];
    if (BIAS) { up += bias[expert * OUT_ROWS + width + column]; }
    value = expert_epilogue(value, up);
  }
  store(row * OUT_COLS + OUT_COLUMN + first_slot * width + column, value);
}
