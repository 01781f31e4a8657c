// y = W_e·x for the pairs (row, slot) of large steps, sorted by expert: a workgroup computes a tile of up to TILE_ROWS pairs of one expert
// × 64 weight rows, an invocation 4 of them for ROWS_PER_LANE pairs. The list of tiles is src/ops/experts/groups.ts. Operands pass through
// workgroup memory as in linear_gemm.wgsl. x: [rows, COLS] or, with SLOT_X, [rows, TOP_K·COLS], in quads. out: [rows, OUT_COLS].

// #import "quant/f32.wgsl"
// #import "lib/expert_epilogue.wgsl"
// #import "lib/activation_f32.wgsl"

alias Act = f32;
alias Out = f32;
// What the operands are kept as in workgroup memory; sums are f32 always.
alias Tile = f32;

// Pairs of a tile of the list, which workgroups of fewer share.
const LIST_ROWS: u32 = 32u;
const TILE_ROWS: u32 = 32u;
const ROWS_PER_LANE: u32 = 2u;
// Quads of x and W in workgroup memory at a time.
const STEP_QUADS: u32 = 8u;
const BIAS: bool = false;
const SLOT_X: bool = false;
const EPILOGUE: u32 = 0u;

// Weight rows of a tile; with an epilogue the first half are gates, the second half their up projections.
const TILE_OUTS: u32 = 64u;
const SIDE: u32 = 16u;
const LANE_ROWS: u32 = TILE_ROWS / ROWS_PER_LANE;
const WORKGROUP: u32 = SIDE * LANE_ROWS;
// Quads that an invocation loads for a step: of x in rows that are X_APART apart, of W side by side.
const X_LOADS: u32 = TILE_ROWS * STEP_QUADS / WORKGROUP;
const X_APART: u32 = WORKGROUP / STEP_QUADS;
const W_LOADS: u32 = TILE_OUTS * STEP_QUADS / WORKGROUP;

override COLS: u32 = 4u;
override BLOCKS: u32 = 1u;
override TOP_K: u32 = 1u;
override OUT_ROWS: u32 = 1u;
override FIRST_ROW: u32 = 0u;
override PART_ROWS: u32 = 1u;
override OUT_COLS: u32 = 1u;
override OUT_COLUMN: u32 = 0u;
// Word where the list of pairs begins.
override PAIRS: u32 = 1u;

@group(0) @binding(0) var<storage, read> groups: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<Out>;

// [quad of the step][row ^ quad]: reads of neighbouring rows and writes of neighbouring quads both hit different banks.
var<workgroup> x_tile: array<vec4<Tile>, TILE_ROWS * STEP_QUADS>;
var<workgroup> w_tile: array<vec4<Tile>, TILE_OUTS * STEP_QUADS>;

fn x_at(row: u32, quad: u32) -> u32 { return quad * TILE_ROWS + (row ^ quad); }
fn w_at(row: u32, quad: u32) -> u32 { return quad * TILE_OUTS + (row ^ quad); }

fn x_quad(start: u32, quad: u32) -> vec4<Tile> {
  if (quad >= COLS / 4u) { return vec4<Tile>(); }
  return vec4<Tile>(x[start + quad]);
}

fn w_quad(row: u32, quad: u32) -> vec4<Tile> {
  let vec = quad / QUANT_QUADS;
  let scale = quant_scale(row, vec);
  let codes = quant_quad(quant_load(row, vec), quad % QUANT_QUADS);
  return vec4<Tile>(fma(codes, vec4<f32>(scale.x), vec4<f32>(scale.y)));
}

fn dot_add(w: vec4<f32>, v: vec4<f32>, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

// One pair's x against four weight rows (the columns of `w`).
fn row_add(v: vec4<f32>, w: mat4x4<f32>, sums: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(
    dot_add(w[0], v, sums.x),
    dot_add(w[1], v, sums.y),
    dot_add(w[2], v, sums.z),
    dot_add(w[3], v, sums.w),
  );
}

fn x_value(row: u32, quad: u32) -> vec4<f32> { return vec4<f32>(x_tile[x_at(row, quad)]); }
fn w_value(row: u32, quad: u32) -> vec4<f32> { return vec4<f32>(w_tile[w_at(row, quad)]); }

fn load_x(row: u32, quad: u32, start: u32, first: u32) { x_tile[x_at(row, quad)] = x_quad(start, first + quad); }
fn load_w(row: u32, quad: u32, weight_row: u32, first: u32) { w_tile[w_at(row, quad)] = w_quad(weight_row, first + quad); }

struct Tiled { expert: u32, first: u32, pairs: u32 }

fn width() -> u32 { return select(OUT_ROWS, OUT_ROWS / 2u, EPILOGUE != 0u); }

// The expert's weight row of row `i` of the tile.
fn expert_row(first_out: u32, i: u32) -> u32 {
  if (EPILOGUE == 0u) { return first_out + i; }
  return first_out + i % (TILE_OUTS / 2u) + select(0u, OUT_ROWS / 2u, i >= TILE_OUTS / 2u);
}

fn pair_at(tile: Tiled, row: u32) -> u32 { return groups[PAIRS + tile.first + min(row, tile.pairs - 1u)]; }

// First quad of a pair's x.
fn x_start(tile: Tiled, row: u32) -> u32 {
  let pair = pair_at(tile, row);
  return select(pair / TOP_K, pair, SLOT_X) * (COLS / 4u);
}

fn store(tile: Tiled, pair: u32, column: u32, sum: f32, up_sum: f32) {
  if (column >= width() || tile.expert * OUT_ROWS + column - FIRST_ROW >= PART_ROWS) { return; }
  var value = sum;
  if (BIAS) { value += bias[tile.expert * OUT_ROWS + column]; }
  if (EPILOGUE != 0u) {
    var up = up_sum;
    if (BIAS) { up += bias[tile.expert * OUT_ROWS + OUT_ROWS / 2u + column]; }
    value = expert_epilogue(value, up);
  }
  out[(pair / TOP_K) * OUT_COLS + OUT_COLUMN + (pair % TOP_K) * width() + column] = kept(value);
}

fn store_row(tile: Tiled, row: u32, column: u32, sums: vec4<f32>) {
  if (row >= tile.pairs) { return; }
  let pair = pair_at(tile, row);
  if (EPILOGUE != 0u) {
    store(tile, pair, column, sums.x, sums.z);
    store(tile, pair, column + SIDE, sums.y, sums.w);
    return;
  }
  store(tile, pair, column, sums.x, 0.0);
  store(tile, pair, column + SIDE, sums.y, 0.0);
  store(tile, pair, column + 2u * SIDE, sums.z, 0.0);
  store(tile, pair, column + 3u * SIDE, sums.w, 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let index = id.y / (LIST_ROWS / TILE_ROWS);
  let before = id.y % (LIST_ROWS / TILE_ROWS) * TILE_ROWS;
  if (index >= groups[0]) { return; }
  let listed = Tiled(groups[1u + 3u * index], groups[2u + 3u * index], groups[3u + 3u * index]);
  if (before >= listed.pairs) { return; }
  let tile = Tiled(listed.expert, listed.first + before, min(listed.pairs - before, TILE_ROWS));
  let begin = tile.expert * OUT_ROWS;
  if (begin >= FIRST_ROW + PART_ROWS || begin + OUT_ROWS <= FIRST_ROW) { return; }
  let first_out = id.x * select(TILE_OUTS, TILE_OUTS / 2u, EPILOGUE != 0u);

  // Neighbouring invocations load neighbouring quads.
  let x_load_quad = thread % STEP_QUADS;
  let x_load_row = thread / STEP_QUADS;
  let starts = vec4<u32>(
    x_start(tile, x_load_row),
    x_start(tile, x_load_row + X_APART),
    x_start(tile, x_load_row + 2u * X_APART),
    x_start(tile, x_load_row + 3u * X_APART),
  );
  let w_load_row = thread / (STEP_QUADS / W_LOADS);
  let w_load_quad = thread % (STEP_QUADS / W_LOADS) * W_LOADS;
  let weight_row = min(begin + min(expert_row(first_out, w_load_row), OUT_ROWS - 1u) - FIRST_ROW, PART_ROWS - 1u);
  let column = thread % SIDE;
  let row = thread / SIDE;

  var sums0 = vec4<f32>();
  var sums1 = vec4<f32>();
  var sums2 = vec4<f32>();
  var sums3 = vec4<f32>();
  var sums4 = vec4<f32>();
  var sums5 = vec4<f32>();
  var sums6 = vec4<f32>();
  var sums7 = vec4<f32>();
  // 1, but compilers do not know: the loops stay loops, which some of them take tens of seconds for otherwise.
  let one = min(groups[0], 1u);
  for (var first = 0u; first < BLOCKS * 8u * one; first += STEP_QUADS) {
    load_x(x_load_row, x_load_quad, starts.x, first);
    if (X_LOADS > 1u) { load_x(x_load_row + X_APART, x_load_quad, starts.y, first); }
    if (X_LOADS > 2u) {
      load_x(x_load_row + 2u * X_APART, x_load_quad, starts.z, first);
      load_x(x_load_row + 3u * X_APART, x_load_quad, starts.w, first);
    }
    load_w(w_load_row, w_load_quad, weight_row, first);
    if (W_LOADS > 1u) { load_w(w_load_row, w_load_quad + 1u, weight_row, first); }
    if (W_LOADS > 2u) {
      load_w(w_load_row, w_load_quad + 2u, weight_row, first);
      load_w(w_load_row, w_load_quad + 3u, weight_row, first);
    }
    if (W_LOADS > 4u) {
      load_w(w_load_row, w_load_quad + 4u, weight_row, first);
      load_w(w_load_row, w_load_quad + 5u, weight_row, first);
      load_w(w_load_row, w_load_quad + 6u, weight_row, first);
      load_w(w_load_row, w_load_quad + 7u, weight_row, first);
    }
    workgroupBarrier();
    for (var k = 0u; k < STEP_QUADS * one; k++) {
      let w = mat4x4<f32>(
        w_value(column, k),
        w_value(column + SIDE, k),
        w_value(column + 2u * SIDE, k),
        w_value(column + 3u * SIDE, k),
      );
      // Many experts have few pairs: what a tile leaves empty is not computed, LANE_ROWS rows at a time.
      sums0 = row_add(x_value(row, k), w, sums0);
      if (tile.pairs > LANE_ROWS) { sums1 = row_add(x_value(row + LANE_ROWS, k), w, sums1); }
      if (ROWS_PER_LANE > 2u) {
        if (tile.pairs > 2u * LANE_ROWS) { sums2 = row_add(x_value(row + 2u * LANE_ROWS, k), w, sums2); }
        if (tile.pairs > 3u * LANE_ROWS) { sums3 = row_add(x_value(row + 3u * LANE_ROWS, k), w, sums3); }
      }
      if (ROWS_PER_LANE > 4u) {
        if (tile.pairs > 4u * LANE_ROWS) { sums4 = row_add(x_value(row + 4u * LANE_ROWS, k), w, sums4); }
        if (tile.pairs > 5u * LANE_ROWS) { sums5 = row_add(x_value(row + 5u * LANE_ROWS, k), w, sums5); }
        if (tile.pairs > 6u * LANE_ROWS) { sums6 = row_add(x_value(row + 6u * LANE_ROWS, k), w, sums6); }
        if (tile.pairs > 7u * LANE_ROWS) { sums7 = row_add(x_value(row + 7u * LANE_ROWS, k), w, sums7); }
      }
    }
    workgroupBarrier();
  }

  let out_column = first_out + column;
  store_row(tile, row, out_column, sums0);
  store_row(tile, row + LANE_ROWS, out_column, sums1);
  if (ROWS_PER_LANE > 2u) {
    store_row(tile, row + 2u * LANE_ROWS, out_column, sums2);
    store_row(tile, row + 3u * LANE_ROWS, out_column, sums3);
  }
  if (ROWS_PER_LANE > 4u) {
    store_row(tile, row + 4u * LANE_ROWS, out_column, sums4);
    store_row(tile, row + 5u * LANE_ROWS, out_column, sums5);
    store_row(tile, row + 6u * LANE_ROWS, out_column, sums6);
    store_row(tile, row + 7u * LANE_ROWS, out_column, sums7);
  }
}
