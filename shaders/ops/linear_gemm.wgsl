// y = W·x for many rows: a workgroup computes 64 rows × 64 output columns, an invocation 4 × 4 of them, 16 apart in both directions.
// Per block of 32 columns both operands pass through workgroup memory (8 KiB each in f32), every weight dequantised once per tile.
// x: [rows, COLS] in quads. W: planes of PART_ROWS rows. out: [rows, OUT_COLS], columns from OUT_COLUMN on.

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"
// #import "lib/linear_store.wgsl"

alias Act = f32;
// What the operands are kept as in workgroup memory; sums are f32 always.
alias Tile = f32;

// Rows of out are sampled rows; GATHER: those of x are the step's, so they are looked up.
const SAMPLED: bool = false;
const GATHER: bool = false;

const TILE_SIDE: u32 = 64u;
const BLOCK_QUADS: u32 = 8u;
const SIDE: u32 = 16u;

override COLS: u32 = 4u;
override BLOCKS: u32 = 1u;
override PART_ROWS: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<Out>;

// [quad of the block][row ^ quad]: reads of neighbouring rows and writes of neighbouring quads both hit different banks.
var<workgroup> x_tile: array<vec4<Tile>, TILE_SIDE * BLOCK_QUADS>;
var<workgroup> w_tile: array<vec4<Tile>, TILE_SIDE * BLOCK_QUADS>;

fn tile_at(row: u32, quad: u32) -> u32 { return quad * TILE_SIDE + (row ^ quad); }

fn source_row(row: u32) -> u32 {
  if (GATHER) { return step_sampled_row(row); }
  return row;
}

fn x_quad(row: u32, start: u32, rows: u32, quad: u32) -> vec4<Tile> {
  if (row >= rows || quad >= COLS / 4u) { return vec4<Tile>(); }
  return vec4<Tile>(x[start + quad]);
}

// One quad of a block of one weight row.
fn w_quad(row: u32, block: u32, quad: u32) -> vec4<Tile> {
  let vec = (block * BLOCK_QUADS + quad) / QUANT_QUADS;
  let scale = quant_scale(row, vec);
  let codes = quant_quad(quant_load(row, vec), quad % QUANT_QUADS);
  return vec4<Tile>(fma(codes, vec4<f32>(scale.x), vec4<f32>(scale.y)));
}

fn dot_add(w: vec4<f32>, v: vec4<f32>, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

// One row of x against four output columns (the columns of `w`).
fn row_add(v: vec4<f32>, w: mat4x4<f32>, sums: vec4<f32>) -> vec4<f32> {
  return vec4<f32>(
    dot_add(w[0], v, sums.x),
    dot_add(w[1], v, sums.y),
    dot_add(w[2], v, sums.z),
    dot_add(w[3], v, sums.w),
  );
}

fn x_value(row: u32, quad: u32) -> vec4<f32> { return vec4<f32>(x_tile[tile_at(row, quad)]); }
fn w_value(row: u32, quad: u32) -> vec4<f32> { return vec4<f32>(w_tile[tile_at(row, quad)]); }

fn store(row: u32, rows: u32, column: u32, sum: f32) {
  if (row >= rows || column >= PART_ROWS) { return; }
  store_value(row, column, sum, 0.0);
}

fn store_row(row: u32, rows: u32, column: u32, sums: vec4<f32>) {
  store(row, rows, column, sums.x);
  store(row, rows, column + SIDE, sums.y);
  store(row, rows, column + 2u * SIDE, sums.z);
  store(row, rows, column + 3u * SIDE, sums.w);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let rows = select(step_rows(), step_sampled_rows(), SAMPLED);
  let first_row = id.y * TILE_SIDE;
  let first_out = id.x * TILE_SIDE;
  if (first_row >= rows) { return; }

  // x: neighbouring invocations load neighbouring quads, 32 rows at a time. W: four invocations share a row's block.
  let x_load_quad = thread % BLOCK_QUADS;
  let x_load_row = thread / BLOCK_QUADS;
  let row_a = first_row + x_load_row;
  let row_b = row_a + 32u;
  let start_a = source_row(min(row_a, rows - 1u)) * (COLS / 4u);
  let start_b = source_row(min(row_b, rows - 1u)) * (COLS / 4u);
  let w_load_row = thread / 4u;
  let w_load_quad = (thread % 4u) * 2u;
  let weight_row = min(first_out + w_load_row, PART_ROWS - 1u);
  let column = thread % SIDE;
  let row = thread / SIDE;

  var sums0 = vec4<f32>();
  var sums1 = vec4<f32>();
  var sums2 = vec4<f32>();
  var sums3 = vec4<f32>();
  for (var block = 0u; block < BLOCKS; block++) {
    let quad = block * BLOCK_QUADS + x_load_quad;
    x_tile[tile_at(x_load_row, x_load_quad)] = x_quad(row_a, start_a, rows, quad);
    x_tile[tile_at(x_load_row + 32u, x_load_quad)] = x_quad(row_b, start_b, rows, quad);
    w_tile[tile_at(w_load_row, w_load_quad)] = w_quad(weight_row, block, w_load_quad);
    w_tile[tile_at(w_load_row, w_load_quad + 1u)] = w_quad(weight_row, block, w_load_quad + 1u);
    workgroupBarrier();
    for (var k = 0u; k < BLOCK_QUADS; k++) {
      let w = mat4x4<f32>(
        w_value(column, k),
        w_value(column + SIDE, k),
        w_value(column + 2u * SIDE, k),
        w_value(column + 3u * SIDE, k),
      );
      sums0 = row_add(x_value(row, k), w, sums0);
      sums1 = row_add(x_value(row + SIDE, k), w, sums1);
      sums2 = row_add(x_value(row + 2u * SIDE, k), w, sums2);
      sums3 = row_add(x_value(row + 3u * SIDE, k), w, sums3);
    }
    workgroupBarrier();
  }

  let out_row = first_row + row;
  store_row(out_row, rows, first_out + column, sums0);
  store_row(out_row + SIDE, rows, first_out + column, sums1);
  store_row(out_row + 2u * SIDE, rows, first_out + column, sums2);
  store_row(out_row + 3u * SIDE, rows, first_out + column, sums3);
}
