// y = W·x for many rows on matrix units, by Dawn's experimental subgroup matrices: never required, chosen only where a tuner has seen it
// compute the right thing. Four subgroups compute 64 rows × 64 output columns, each 32 × 32 of them, or eight of them 128 × 128, each
// 32 × 64, as M × N matrices, which stay in registers; K_STEP columns at a time of both operands pass through workgroup memory, every weight
// dequantised once per tile.
// The columns may be shared by several workgroups (grid z: lib/gemm_split.wgsl).
// x: [rows, COLS] in quads. W: planes of PART_ROWS rows. out: [rows, OUT_COLS], columns from OUT_COLUMN on.
enable chromium_experimental_subgroup_matrix;
enable subgroups;

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"
// #import "lib/linear_store.wgsl"
// #import "lib/gemm_whole.wgsl"

alias Act = f32;
// What the units multiply; sums are f32 always.
alias Tile = f32;

// Rows of out are sampled rows; GATHER: those of x are the step's, so they are looked up.
const SAMPLED: bool = false;
const GATHER: bool = false;
const M: u32 = 8u;
const N: u32 = 8u;
const K: u32 = 8u;
const K_STEP: u32 = 16u;
const SUBGROUP: u32 = 32u;

const TILE_SIDE: u32 = 64u;

const REGION_ROWS: u32 = 32u;
const REGION_COLUMNS: u32 = TILE_SIDE / 2u;
const SUBGROUPS: u32 = 2u * TILE_SIDE / REGION_ROWS;
const WORKGROUP: u32 = SUBGROUPS * SUBGROUP;
const STEP_QUADS: u32 = K_STEP / 4u;
const LOADS: u32 = TILE_SIDE * STEP_QUADS;
const MATRIX_ROWS: u32 = REGION_ROWS / M;
const MATRIX_COLUMNS: u32 = REGION_COLUMNS / N;

alias Left = subgroup_matrix_left<Tile, K, M>;
alias Right = subgroup_matrix_right<Tile, N, K>;
alias Result = subgroup_matrix_result<f32, N, M>;

override COLS: u32 = 4u;
override BLOCKS: u32 = 1u;
override PART_ROWS: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<Out>;

// [row of x][column of the step], [row of W][column of the step], and a matrix of results of each subgroup.
var<workgroup> x_tile: array<Tile, TILE_SIDE * K_STEP>;
var<workgroup> w_tile: array<Tile, TILE_SIDE * K_STEP>;
var<workgroup> results: array<f32, SUBGROUPS * M * N>;

fn source_row(row: u32) -> u32 {
  if (GATHER) { return step_sampled_row(row); }
  return row;
}

fn x_quad(row: u32, rows: u32, quad: u32) -> vec4<f32> {
  if (row >= rows || quad >= COLS / 4u) { return vec4<f32>(); }
  return vec4<f32>(x[source_row(row) * (COLS / 4u) + quad]);
}

// Beyond the last column x is zero, so that the last vector will do.
fn w_quad(row: u32, quad: u32) -> vec4<f32> {
  let vec = min(quad / QUANT_QUADS, BLOCKS * (8u / QUANT_QUADS) - 1u);
  let scale = quant_scale(row, vec);
  return fma(quant_quad(quant_load(row, vec), quad % QUANT_QUADS), vec4<f32>(scale.x), vec4<f32>(scale.y));
}

// The operands of a step, whose first quad is `first`.
fn load_tiles(thread: u32, first_row: u32, rows: u32, first_out: u32, first: u32) {
  for (var item = thread; item < LOADS; item += WORKGROUP) {
    let row = item / STEP_QUADS;
    let quad = item % STEP_QUADS;
    let at = row * K_STEP + quad * 4u;
    let v = vec4<Tile>(x_quad(first_row + row, rows, first + quad));
    x_tile[at] = v.x;
    x_tile[at + 1u] = v.y;
    x_tile[at + 2u] = v.z;
    x_tile[at + 3u] = v.w;
    let w = vec4<Tile>(w_quad(min(first_out + row, PART_ROWS - 1u), first + quad));
    w_tile[at] = w.x;
    w_tile[at + 1u] = w.y;
    w_tile[at + 2u] = w.z;
    w_tile[at + 3u] = w.w;
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) id: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let rows = select(step_rows(), step_sampled_rows(), SAMPLED);
  let first_row = id.y * TILE_SIDE;
  let first_out = id.x * TILE_SIDE;
  let region_row = (subgroup / 2u) * REGION_ROWS;
  let region_column = (subgroup % 2u) * REGION_COLUMNS;

  var sums: array<array<Result, MATRIX_COLUMNS>, MATRIX_ROWS>;
  let share = vec2<u32>(id.z, count.z);
  let steps = steps_of(share, BLOCKS * 8u / STEP_QUADS);
  for (var step = steps.x; step < steps.y; step++) {
    load_tiles(thread, first_row, rows, first_out, step * STEP_QUADS);
    workgroupBarrier();
    for (var k = 0u; k < K_STEP; k += K) {
      var right: array<Right, MATRIX_COLUMNS>;
      for (var j = 0u; j < MATRIX_COLUMNS; j++) {
        right[j] = subgroupMatrixLoad<Right, col_major>(&w_tile, (region_column + j * N) * K_STEP + k, K_STEP);
      }
      for (var i = 0u; i < MATRIX_ROWS; i++) {
        let left = subgroupMatrixLoad<Left, row_major>(&x_tile, (region_row + i * M) * K_STEP + k, K_STEP);
        for (var j = 0u; j < MATRIX_COLUMNS; j++) { sums[i][j] = subgroupMatrixMultiplyAccumulate(left, right[j], sums[i][j]); }
      }
    }
    workgroupBarrier();
  }

  for (var i = 0u; i < MATRIX_ROWS; i++) {
    for (var j = 0u; j < MATRIX_COLUMNS; j++) {
      subgroupMatrixStore<row_major>(&results, subgroup * M * N, sums[i][j], N);
      workgroupBarrier();
      for (var item = lane; item < M * N; item += SUBGROUP) {
        let row = first_row + region_row + i * M + item / N;
        let column = first_out + region_column + j * N + item % N;
        store_sum(row, rows, column, share, results[subgroup * M * N + item]);
      }
      workgroupBarrier();
    }
  }
}
