// y = W·x for many rows: a workgroup computes TILE_ROWS rows × 64 output columns, an invocation ROWS_PER_LANE × 4 of them, which lie apart
// in both directions. STEP_QUADS · 4 columns at a time of both operands pass through workgroup memory, every weight dequantised once per
// tile; the next ones are on their way into registers meanwhile.
// The columns may be shared by several workgroups (grid z: lib/gemm_split.wgsl).
// x: [rows, COLS] in quads. W: planes of PART_ROWS rows. out: [rows, OUT_COLS], columns from OUT_COLUMN on.

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"
// #import "lib/linear_store.wgsl"
// #import "lib/gemm_whole.wgsl"

alias Act = f32;
// What the operands are kept as in workgroup memory; sums are f32 always.
alias Tile = f32;

// Rows of out are sampled rows; GATHER: those of x are the step's, so they are looked up.
const SAMPLED: bool = false;
const GATHER: bool = false;
const TILE_ROWS: u32 = 64u;
const ROWS_PER_LANE: u32 = 4u;
const STEP_QUADS: u32 = 8u;
// Straight code for the columns of a step: for GPUs.
const UNROLLED: bool = true;

const TILE_COLUMNS: u32 = 64u;
const COLUMN_LANES: u32 = 16u;
const ROW_LANES: u32 = TILE_ROWS / ROWS_PER_LANE;
const WORKGROUP: u32 = COLUMN_LANES * ROW_LANES;
// Quads that an invocation loads: 1, 2 or 4. Those of a weight row are neighbours.
const X_LOADS: u32 = TILE_ROWS * STEP_QUADS / WORKGROUP;
const W_LOADS: u32 = TILE_COLUMNS * STEP_QUADS / WORKGROUP;
const X_LOAD_ROWS: u32 = WORKGROUP / STEP_QUADS;

override COLS: u32 = 4u;
override BLOCKS: u32 = 1u;
override PART_ROWS: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<Out>;

// [quad of the step][row ^ quad]: reads of neighbouring rows and writes of neighbouring quads both hit different banks.
var<workgroup> x_tile: array<vec4<Tile>, TILE_ROWS * STEP_QUADS>;
var<workgroup> w_tile: array<vec4<Tile>, TILE_COLUMNS * STEP_QUADS>;

// What an invocation has loaded of the next step.
struct XLoads { v0: vec4<Act>, v1: vec4<Act>, v2: vec4<Act>, v3: vec4<Act> }
struct WLoads { v0: QuantVec, v1: QuantVec, v2: QuantVec, v3: QuantVec, scale: vec2<f32> }

fn source_row(row: u32) -> u32 {
  if (GATHER) { return step_sampled_row(row); }
  return row;
}

fn x_load(row: u32, rows: u32, quad: u32) -> vec4<Act> {
  if (row >= rows || quad >= COLS / 4u) { return vec4<Act>(); }
  return x[source_row(row) * (COLS / 4u) + quad];
}

fn x_loads(row: u32, rows: u32, quad: u32) -> XLoads {
  var loads: XLoads;
  loads.v0 = x_load(row, rows, quad);
  if (X_LOADS > 1u) { loads.v1 = x_load(row + X_LOAD_ROWS, rows, quad); }
  if (X_LOADS > 2u) {
    loads.v2 = x_load(row + 2u * X_LOAD_ROWS, rows, quad);
    loads.v3 = x_load(row + 3u * X_LOAD_ROWS, rows, quad);
  }
  return loads;
}

fn x_put(row: u32, quad: u32, v: vec4<Act>) { x_tile[quad * TILE_ROWS + (row ^ quad)] = vec4<Tile>(v); }

fn x_store(row: u32, quad: u32, loads: XLoads) {
  x_put(row, quad, loads.v0);
  if (X_LOADS > 1u) { x_put(row + X_LOAD_ROWS, quad, loads.v1); }
  if (X_LOADS > 2u) {
    x_put(row + 2u * X_LOAD_ROWS, quad, loads.v2);
    x_put(row + 3u * X_LOAD_ROWS, quad, loads.v3);
  }
}

// The vectors that hold W_LOADS quads from `quad` on; beyond the last column x is zero and the last vector will do.
fn w_loads(row: u32, quad: u32) -> WLoads {
  let last = BLOCKS * (8u / QUANT_QUADS) - 1u;
  let vec = min(quad / QUANT_QUADS, last);
  var loads: WLoads;
  loads.v0 = quant_load(row, vec);
  loads.scale = quant_scale(row, vec);
  // Formats whose vectors are shorter than what an invocation loads have no scales.
  if (W_LOADS > QUANT_QUADS) {
    loads.v1 = quant_load(row, min((quad + QUANT_QUADS) / QUANT_QUADS, last));
    if (W_LOADS > 2u * QUANT_QUADS) {
      loads.v2 = quant_load(row, min((quad + 2u * QUANT_QUADS) / QUANT_QUADS, last));
      loads.v3 = quant_load(row, min((quad + 3u * QUANT_QUADS) / QUANT_QUADS, last));
    }
  }
  return loads;
}

fn w_put(row: u32, quad: u32, codes: vec4<f32>, scale: vec2<f32>) {
  w_tile[quad * TILE_COLUMNS + (row ^ quad)] = vec4<Tile>(fma(codes, vec4<f32>(scale.x), vec4<f32>(scale.y)));
}

fn w_codes(loads: WLoads, first: u32, i: u32) -> vec4<f32> {
  let place = i / QUANT_QUADS;
  if (W_LOADS > QUANT_QUADS && place == 1u) { return quant_quad(loads.v1, i % QUANT_QUADS); }
  if (W_LOADS > QUANT_QUADS && place == 2u) { return quant_quad(loads.v2, i % QUANT_QUADS); }
  if (W_LOADS > QUANT_QUADS && place == 3u) { return quant_quad(loads.v3, i % QUANT_QUADS); }
  return quant_quad(loads.v0, (first + i) % QUANT_QUADS);
}

// `first`: the quad of W that `quad` of the step is.
fn w_store(row: u32, quad: u32, first: u32, loads: WLoads) {
  w_put(row, quad, w_codes(loads, first, 0u), loads.scale);
  if (W_LOADS > 1u) { w_put(row, quad + 1u, w_codes(loads, first, 1u), loads.scale); }
  if (W_LOADS > 2u) {
    w_put(row, quad + 2u, w_codes(loads, first, 2u), loads.scale);
    w_put(row, quad + 3u, w_codes(loads, first, 3u), loads.scale);
  }
}

fn dot_add(w: vec4<f32>, v: vec4<f32>, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

// One row of x against four output columns (the columns of `w`).
fn row_add(row: u32, k: u32, w: mat4x4<f32>, sums: vec4<f32>) -> vec4<f32> {
  let v = vec4<f32>(x_tile[k * TILE_ROWS + (row ^ k)]);
  return vec4<f32>(
    dot_add(w[0], v, sums.x),
    dot_add(w[1], v, sums.y),
    dot_add(w[2], v, sums.z),
    dot_add(w[3], v, sums.w),
  );
}

fn w_value(row: u32, quad: u32) -> vec4<f32> { return vec4<f32>(w_tile[quad * TILE_COLUMNS + (row ^ quad)]); }

// Rows of an invocation, each against its four columns.
struct Sums { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>, r4: vec4<f32>, r5: vec4<f32>, r6: vec4<f32>, r7: vec4<f32> }

fn quad_add(before: Sums, row: u32, column: u32, k: u32) -> Sums {
  var sums = before;
  let w = mat4x4<f32>(
    w_value(column, k),
    w_value(column + COLUMN_LANES, k),
    w_value(column + 2u * COLUMN_LANES, k),
    w_value(column + 3u * COLUMN_LANES, k),
  );
  sums.r0 = row_add(row, k, w, sums.r0);
  sums.r1 = row_add(row + ROW_LANES, k, w, sums.r1);
  sums.r2 = row_add(row + 2u * ROW_LANES, k, w, sums.r2);
  sums.r3 = row_add(row + 3u * ROW_LANES, k, w, sums.r3);
  if (ROWS_PER_LANE > 4u) {
    sums.r4 = row_add(row + 4u * ROW_LANES, k, w, sums.r4);
    sums.r5 = row_add(row + 5u * ROW_LANES, k, w, sums.r5);
    sums.r6 = row_add(row + 6u * ROW_LANES, k, w, sums.r6);
    sums.r7 = row_add(row + 7u * ROW_LANES, k, w, sums.r7);
  }
  return sums;
}

fn step_add(before: Sums, row: u32, column: u32, one: u32) -> Sums {
  var sums = before;
  if (UNROLLED) {
    sums = quad_add(sums, row, column, 0u);
    sums = quad_add(sums, row, column, 1u);
    sums = quad_add(sums, row, column, 2u);
    sums = quad_add(sums, row, column, 3u);
    if (STEP_QUADS > 4u) {
      sums = quad_add(sums, row, column, 4u);
      sums = quad_add(sums, row, column, 5u);
      sums = quad_add(sums, row, column, 6u);
      sums = quad_add(sums, row, column, 7u);
    }
  } else {
    for (var k = 0u; k < STEP_QUADS * one; k++) { sums = quad_add(sums, row, column, k); }
  }
  return sums;
}

fn store_row(row: u32, rows: u32, column: u32, share: vec2<u32>, sums: vec4<f32>) {
  store_sum(row, rows, column, share, sums.x);
  store_sum(row, rows, column + COLUMN_LANES, share, sums.y);
  store_sum(row, rows, column + 2u * COLUMN_LANES, share, sums.z);
  store_sum(row, rows, column + 3u * COLUMN_LANES, share, sums.w);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let rows = select(step_rows(), step_sampled_rows(), SAMPLED);
  let first_row = id.y * TILE_ROWS;
  let first_out = id.x * TILE_COLUMNS;
  if (first_row >= rows) { return; }
  // 1, but compilers do not know: bounds times this one keep them from unrolling.
  let one = min(rows, 1u);

  let x_quad = thread % STEP_QUADS;
  let x_row = thread / STEP_QUADS;
  let w_quad = thread % (STEP_QUADS / W_LOADS) * W_LOADS;
  let w_row = thread / (STEP_QUADS / W_LOADS);
  let weight_row = min(first_out + w_row, PART_ROWS - 1u);
  let column = thread % COLUMN_LANES;
  let row = thread / COLUMN_LANES;

  var sums = Sums();
  let share = vec2<u32>(id.z, count.z);
  let steps = steps_of(share, BLOCKS * 8u / STEP_QUADS);
  let end = steps.y * STEP_QUADS;
  var x_next = x_loads(first_row + x_row, rows, steps.x * STEP_QUADS + x_quad);
  var w_next = w_loads(weight_row, steps.x * STEP_QUADS + w_quad);
  for (var first = steps.x * STEP_QUADS; first < end; first += STEP_QUADS) {
    x_store(x_row, x_quad, x_next);
    w_store(w_row, w_quad, first + w_quad, w_next);
    workgroupBarrier();
    x_next = x_loads(first_row + x_row, rows, first + STEP_QUADS + x_quad);
    w_next = w_loads(weight_row, first + STEP_QUADS + w_quad);
    sums = step_add(sums, row, column, one);
    workgroupBarrier();
  }

  let out_row = first_row + row;
  let out_column = first_out + column;
  store_row(out_row, rows, out_column, share, sums.r0);
  store_row(out_row + ROW_LANES, rows, out_column, share, sums.r1);
  store_row(out_row + 2u * ROW_LANES, rows, out_column, share, sums.r2);
  store_row(out_row + 3u * ROW_LANES, rows, out_column, share, sums.r3);
  if (ROWS_PER_LANE > 4u) {
    store_row(out_row + 4u * ROW_LANES, rows, out_column, share, sums.r4);
    store_row(out_row + 5u * ROW_LANES, rows, out_column, share, sums.r5);
    store_row(out_row + 6u * ROW_LANES, rows, out_column, share, sums.r6);
    store_row(out_row + 7u * ROW_LANES, rows, out_column, share, sums.r7);
  }
}
