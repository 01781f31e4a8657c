// y = W·n(x) for a few rows, memory bound: every packed word of W is read once for up to ROWS rows (docs/kernels/linear.md).
// x: [rows, COLS] in quads. W: planes of PART_ROWS rows. out: [rows, OUT_COLS], columns from OUT_COLUMN on.
//
// LANES neighbouring invocations share OUTS output rows: lane l reads vector l of every SWEEP of 256 columns. A row's result depends
// on SWEEP and the weight format alone, never on ROWS, OUTS, WORKGROUP or on the other rows: one row and sixteen agree to the bit.
// That is why products are written as chains of fma, which leave a compiler nothing to contract one way here and another there.

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"
// #import "lib/reduce_workgroup.wgsl"
// #import "lib/linear_store.wgsl"

alias Act = f32;

const ROWS: u32 = 1u;
const OUTS: u32 = 2u;
const WORKGROUP: u32 = 64u;
const NORM: bool = false;
// Rows of out are sampled rows; GATHER: those of x are the step's, so they are looked up.
const SAMPLED: bool = false;
const GATHER: bool = false;

const SWEEP_QUADS: u32 = 64u;
const LANES: u32 = SWEEP_QUADS / QUANT_QUADS;
const REDUCE_LANES: u32 = LANES;
const GROUPS: u32 = WORKGROUP / LANES;
const OUT_SLOTS: u32 = select(OUTS, OUTS / 2u, GLU);
// x passes through 8 KiB of workgroup memory: up to 8 rows at a time, and as many sweeps as there is room for.
const TILE_QUADS: u32 = 512u;
const TILE_ROWS: u32 = min(ROWS, 8u);
const TILE_SWEEPS: u32 = TILE_QUADS / (TILE_ROWS * SWEEP_QUADS);
const TILE_STRIDE: u32 = TILE_SWEEPS * SWEEP_QUADS;
// One row takes two sweeps at a time, so that more loads are in flight.
const SWEEP_STEP: u32 = select(1u, 2u, ROWS == 1u);
const SQUARE_PARTS: u32 = 8u;

override COLS: u32 = 4u;
override BLOCKS: u32 = 1u;
override PART_ROWS: u32 = 1u;
override EPS: f32 = 0.0;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<Out>;

// [tile row][sweep][quad of a lane][lane]: neighbouring lanes read neighbouring vectors. Partial sums at the end.
var<workgroup> tile: array<vec4<f32>, TILE_QUADS>;
// Σx² of each row by place in the sweep: [place][row].
var<workgroup> squares: array<f32, SWEEP_QUADS * ROWS>;

// Up to four output rows of a lane.
struct Packed { v0: QuantVec, v1: QuantVec, v2: QuantVec, v3: QuantVec }
struct Scales { v0: vec2<f32>, v1: vec2<f32>, v2: vec2<f32>, v3: vec2<f32> }
// Sums of eight rows of x: rows 0–3 and 4–7.
struct Sums { low: vec4<f32>, high: vec4<f32> }
struct SlotSums { v0: Sums, v1: Sums, v2: Sums, v3: Sums }
// Unscaled sums over one vector of weights, and the sums of x that an offset multiplies.
struct Products { slots: SlotSums, x: Sums }

fn dot_add(w: vec4<f32>, v: vec4<f32>, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

// Four rows of x (the columns of `v`) times four weights.
fn rows_add(w: vec4<f32>, v: mat4x4<f32>, sums: vec4<f32>) -> vec4<f32> {
  var result = sums;
  result.x = dot_add(w, v[0], sums.x);
  if (TILE_ROWS > 1u) { result.y = dot_add(w, v[1], sums.y); }
  if (TILE_ROWS > 2u) {
    result.z = dot_add(w, v[2], sums.z);
    result.w = dot_add(w, v[3], sums.w);
  }
  return result;
}

fn tile_rows(at: u32) -> mat4x4<f32> {
  var v: mat4x4<f32>;
  v[0] = tile[at];
  if (TILE_ROWS > 1u) { v[1] = tile[at + TILE_STRIDE]; }
  if (TILE_ROWS > 2u) {
    v[2] = tile[at + 2u * TILE_STRIDE];
    v[3] = tile[at + 3u * TILE_STRIDE];
  }
  return v;
}

fn quad_add(sums: Products, packed: Packed, quad: u32, lane_at: u32) -> Products {
  var p = sums;
  let at = lane_at + quad * LANES;
  let w0 = quant_quad(packed.v0, quad);
  var w1: vec4<f32>;
  var w2: vec4<f32>;
  var w3: vec4<f32>;
  if (OUTS > 1u) { w1 = quant_quad(packed.v1, quad); }
  if (OUTS > 2u) {
    w2 = quant_quad(packed.v2, quad);
    w3 = quant_quad(packed.v3, quad);
  }
  let low = tile_rows(at);
  p.slots.v0.low = rows_add(w0, low, p.slots.v0.low);
  if (OUTS > 1u) { p.slots.v1.low = rows_add(w1, low, p.slots.v1.low); }
  if (OUTS > 2u) {
    p.slots.v2.low = rows_add(w2, low, p.slots.v2.low);
    p.slots.v3.low = rows_add(w3, low, p.slots.v3.low);
  }
  if (QUANT_OFFSET) { p.x.low = rows_add(vec4<f32>(1.0), low, p.x.low); }
  if (TILE_ROWS > 4u) {
    let high = tile_rows(at + 4u * TILE_STRIDE);
    p.slots.v0.high = rows_add(w0, high, p.slots.v0.high);
    if (OUTS > 1u) { p.slots.v1.high = rows_add(w1, high, p.slots.v1.high); }
    if (OUTS > 2u) {
      p.slots.v2.high = rows_add(w2, high, p.slots.v2.high);
      p.slots.v3.high = rows_add(w3, high, p.slots.v3.high);
    }
    if (QUANT_OFFSET) { p.x.high = rows_add(vec4<f32>(1.0), high, p.x.high); }
  }
  return p;
}

fn scale_add(scale: vec2<f32>, products: Sums, x_sums: Sums, sums: Sums) -> Sums {
  var result = sums;
  result.low = fma(vec4<f32>(scale.x), products.low, sums.low);
  if (QUANT_OFFSET) { result.low = fma(vec4<f32>(scale.y), x_sums.low, result.low); }
  if (TILE_ROWS > 4u) {
    result.high = fma(vec4<f32>(scale.x), products.high, sums.high);
    if (QUANT_OFFSET) { result.high = fma(vec4<f32>(scale.y), x_sums.high, result.high); }
  }
  return result;
}

// The product of one vector of weights of each slot with its rows of x. Unrolled for one row. With more, unpacking is shared by the rows
// and the loop stays one: straight code takes some compilers tens of seconds.
fn vec_add(sums: SlotSums, packed: Packed, scale: Scales, lane_at: u32, quads: u32) -> SlotSums {
  var p: Products;
  if (ROWS > 1u) {
    for (var quad = 0u; quad < quads; quad++) { p = quad_add(p, packed, quad, lane_at); }
  } else {
    p = quad_add(p, packed, 0u, lane_at);
    if (QUANT_QUADS > 1u) { p = quad_add(p, packed, 1u, lane_at); }
    if (QUANT_QUADS > 2u) {
      p = quad_add(p, packed, 2u, lane_at);
      p = quad_add(p, packed, 3u, lane_at);
    }
    if (QUANT_QUADS > 4u) {
      p = quad_add(p, packed, 4u, lane_at);
      p = quad_add(p, packed, 5u, lane_at);
      p = quad_add(p, packed, 6u, lane_at);
      p = quad_add(p, packed, 7u, lane_at);
    }
  }
  var result = sums;
  result.v0 = scale_add(scale.v0, p.slots.v0, p.x, sums.v0);
  if (OUTS > 1u) { result.v1 = scale_add(scale.v1, p.slots.v1, p.x, sums.v1); }
  if (OUTS > 2u) {
    result.v2 = scale_add(scale.v2, p.slots.v2, p.x, sums.v2);
    result.v3 = scale_add(scale.v3, p.slots.v3, p.x, sums.v3);
  }
  return result;
}

fn out_index(group_base: u32, slot: u32) -> u32 { return group_base + slot % OUT_SLOTS; }

// The weight row of a slot, clamped: surplus slots compute what nobody stores. A gated unit's upper slots hold the up projection.
fn weight_row(group_base: u32, slot: u32) -> u32 {
  let half = select(0u, PART_ROWS / 2u, slot >= OUT_SLOTS);
  return min(out_index(group_base, slot) + half, PART_ROWS - 1u);
}

fn weight_rows(group_base: u32) -> vec4<u32> {
  return vec4<u32>(
    weight_row(group_base, 0u),
    weight_row(group_base, 1u % OUTS),
    weight_row(group_base, 2u % OUTS),
    weight_row(group_base, 3u % OUTS),
  );
}

// Beyond the last column x is zero, so that any weight of the row will do: the last one, which is in bounds.
fn clamped(vec: u32) -> u32 { return min(vec, BLOCKS * (8u / QUANT_QUADS) - 1u); }

fn load_packed(rows: vec4<u32>, vec: u32) -> Packed {
  let at = clamped(vec);
  var packed: Packed;
  packed.v0 = quant_load(rows.x, at);
  if (OUTS > 1u) { packed.v1 = quant_load(rows.y, at); }
  if (OUTS > 2u) {
    packed.v2 = quant_load(rows.z, at);
    packed.v3 = quant_load(rows.w, at);
  }
  return packed;
}

fn load_scales(rows: vec4<u32>, vec: u32) -> Scales {
  let at = clamped(vec);
  var scale: Scales;
  scale.v0 = quant_scale(rows.x, at);
  if (OUTS > 1u) { scale.v1 = quant_scale(rows.y, at); }
  if (OUTS > 2u) {
    scale.v2 = quant_scale(rows.z, at);
    scale.v3 = quant_scale(rows.w, at);
  }
  return scale;
}

fn source_row(row: u32) -> u32 {
  if (GATHER) { return step_sampled_row(row); }
  return row;
}

// Rows [first_row + tile_row, … + TILE_ROWS) of x into the tile, weighted by the norm; zero beyond the step's rows and x's columns.
// An invocation always gets the same (row, place), so it alone adds to that square sum.
fn load_tile(thread: u32, first_sweep: u32, sweeps: u32, first_row: u32, tile_row: u32, rows: u32, one: u32) {
  for (var item = thread; item < TILE_ROWS * SWEEP_QUADS * one; item += WORKGROUP) {
    let r = item / SWEEP_QUADS;
    let place = item % SWEEP_QUADS;
    let quad = (place % LANES) * QUANT_QUADS + place / LANES;
    let row = first_row + tile_row + r;
    let end = select(0u, COLS / 4u, row < rows);
    var start = 0u;
    if (row < rows) { start = source_row(row) * (COLS / 4u); }
    // Goes on from the last tile's sum: where tiles end depends on ROWS, the order of the additions must not.
    var sum = 0.0;
    if (NORM) { sum = squares[place * ROWS + tile_row + r]; }
    for (var s = 0u; s < sweeps; s++) {
      let at = (first_sweep + s) * SWEEP_QUADS + quad;
      var v = vec4<f32>();
      if (at < end) {
        v = vec4<f32>(x[start + at]);
        if (NORM) {
          sum = dot_add(v, v, sum);
          v *= norm_weight[at];
        }
      }
      tile[r * TILE_STRIDE + s * SWEEP_QUADS + place] = v;
    }
    if (NORM) { squares[place * ROWS + tile_row + r] = sum; }
  }
}

fn tile_add(sums: SlotSums, weights: vec4<u32>, first_sweep: u32, sweeps: u32, lane: u32, quads: u32) -> SlotSums {
  var result = sums;
  let first_vec = first_sweep * LANES + lane;
  for (var s = 0u; s < sweeps; s += SWEEP_STEP) {
    let vec = first_vec + s * LANES;
    let packed = load_packed(weights, vec);
    let scale = load_scales(weights, vec);
    if (SWEEP_STEP == 2u) {
      let next_packed = load_packed(weights, vec + LANES);
      let next_scale = load_scales(weights, vec + LANES);
      result = vec_add(result, packed, scale, s * SWEEP_QUADS + lane, quads);
      result = vec_add(result, next_packed, next_scale, (s + 1u) * SWEEP_QUADS + lane, quads);
    } else {
      result = vec_add(result, packed, scale, s * SWEEP_QUADS + lane, quads);
    }
  }
  return result;
}

// Adds up SQUARE_PARTS interleaved parts of each row's square sums, each in the place of its first term.
fn fold_squares(thread: u32, one: u32) {
  for (var item = thread; item < SQUARE_PARTS * ROWS * one; item += WORKGROUP) {
    var sum = squares[item];
    for (var at = item + SQUARE_PARTS * ROWS; at < SWEEP_QUADS * ROWS * one; at += SQUARE_PARTS * ROWS) { sum += squares[at]; }
    squares[item] = sum;
  }
}

// 1 / rms of four rows of this workgroup.
fn norm_scales(row: u32, one: u32) -> vec4<f32> {
  if (!NORM) { return vec4<f32>(1.0); }
  var sums = vec4<f32>();
  for (var part = 0u; part < SQUARE_PARTS * one; part++) {
    let at = part * ROWS + row;
    sums.x += squares[at];
    if (ROWS > 1u) {
      sums.y += squares[at + 1u];
      sums.z += squares[at + 2u];
      sums.w += squares[at + 3u];
    }
  }
  return inverseSqrt(sums / f32(COLS) + vec4<f32>(EPS));
}

fn slot_total(slot: u32, group: u32, width: u32, one: u32) -> vec4<f32> {
  var sum = vec4<f32>();
  for (var lane = 0u; lane < LANES * one; lane += width) { sum += tile[slot * WORKGROUP + group * LANES + lane]; }
  return sum;
}

fn store(row: u32, rows: u32, column: u32, total: f32, up: f32, scale: f32) {
  if (row < rows) { store_value(row, column, total * scale, up * scale); }
}

// Rows 4i … 4i + 3 of a slot.
fn four_rows(lower: Sums, upper: Sums, i: u32) -> vec4<f32> {
  if (ROWS <= 4u) { return lower.low; }
  return select(select(upper.low, upper.high, i == 3u), select(lower.low, lower.high, i == 1u), i < 2u);
}

// Adds up the lanes of rows 4i … 4i + 3 and stores them; begins and ends with the tile free.
fn finish(thread: u32, lower: SlotSums, upper: SlotSums, i: u32, first_out: u32, first_row: u32, rows: u32, one: u32) {
  let width = reduce_width();
  tile[thread] = reduce_lanes(four_rows(lower.v0, upper.v0, i), width);
  if (OUTS > 1u) { tile[WORKGROUP + thread] = reduce_lanes(four_rows(lower.v1, upper.v1, i), width); }
  if (OUTS > 2u) {
    tile[2u * WORKGROUP + thread] = reduce_lanes(four_rows(lower.v2, upper.v2, i), width);
    tile[3u * WORKGROUP + thread] = reduce_lanes(four_rows(lower.v3, upper.v3, i), width);
  }
  workgroupBarrier();
  let outs = select(PART_ROWS, PART_ROWS / 2u, GLU);
  for (var item = thread; item < GROUPS * OUT_SLOTS * one; item += WORKGROUP) {
    let group = item / OUT_SLOTS;
    let slot = item % OUT_SLOTS;
    let column = first_out + item;
    if (column < outs) {
      let total = slot_total(slot, group, width, one);
      var up = vec4<f32>();
      if (GLU) { up = slot_total(slot + OUT_SLOTS, group, width, one); }
      let row = first_row + 4u * i;
      let scale = norm_scales(4u * i, one);
      store(row, rows, column, total.x, up.x, scale.x);
      if (ROWS > 1u) {
        store(row + 1u, rows, column, total.y, up.y, scale.y);
        store(row + 2u, rows, column, total.z, up.z, scale.z);
        store(row + 3u, rows, column, total.w, up.w, scale.w);
      }
    }
  }
  workgroupBarrier();
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let rows = select(step_rows(), step_sampled_rows(), SAMPLED);
  let first_row = id.z * ROWS;
  let first_out = (id.y * count.x + id.x) * (GROUPS * OUT_SLOTS);
  if (first_row >= rows || first_out >= PART_ROWS) { return; }
  let lane = thread % LANES;
  let weights = weight_rows(first_out + (thread / LANES) * OUT_SLOTS);
  // Rows 8–15 have a tile of their own, which steps of up to eight rows do without.
  let upper = ROWS > 8u && rows > first_row + 8u;

  // 1, but compilers do not know: bounds times this one keep them from unrolling every loop, which takes some of them tens of seconds.
  let one = min(rows, 1u);
  let quads = QUANT_QUADS * one;
  let sweeps = (COLS / 4u + SWEEP_QUADS - 1u) / SWEEP_QUADS * one;

  var lower_sums: SlotSums;
  var upper_sums: SlotSums;
  for (var first = 0u; first < sweeps; first += TILE_SWEEPS) {
    // Whole steps: the surplus sweep is one of zeros.
    let tile_sweeps = min((sweeps - first + SWEEP_STEP - 1u) / SWEEP_STEP * SWEEP_STEP, TILE_SWEEPS);
    load_tile(thread, first, tile_sweeps, first_row, 0u, rows, one);
    workgroupBarrier();
    lower_sums = tile_add(lower_sums, weights, first, tile_sweeps, lane, quads);
    workgroupBarrier();
    if (upper) {
      load_tile(thread, first, tile_sweeps, first_row, 8u, rows, one);
      workgroupBarrier();
      upper_sums = tile_add(upper_sums, weights, first, tile_sweeps, lane, quads);
      workgroupBarrier();
    }
  }

  if (NORM) { fold_squares(thread, one); }
  let live_rows = min(rows - first_row, ROWS);
  for (var i = 0u; i * 4u < live_rows; i++) { finish(thread, lower_sums, upper_sums, i, first_out, first_row, rows, one); }
}
