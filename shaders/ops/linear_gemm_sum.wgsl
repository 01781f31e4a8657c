// y of a GEMM whose columns several workgroups shared: adds their sums up, the first columns' first, and finishes the values. One invocation
// a value.
// partials: [share][row][PART_ROWS]. out: [rows, OUT_COLS], columns from OUT_COLUMN on.

// #import "lib/step.wgsl"
// #import "lib/linear_store.wgsl"

// Rows of out are sampled rows.
const SAMPLED: bool = false;

override PART_ROWS: u32 = 1u;
// Of the GEMM: rows of a tile, tiles side by side, the workgroups that its grid is split up to, and the most shares of the columns.
override TILE_ROWS: u32 = 64u;
override TILES: u32 = 1u;
override SPLIT_TO: u32 = 1u;
override MAX_SPLITS: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read> bias: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<Out>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let rows = select(step_rows(), step_sampled_rows(), SAMPLED);
  let column = id.x;
  let row = id.y;
  if (row >= rows || column >= PART_ROWS) { return; }
  // As many as the GEMM's grid was split into (gemmSplits in src/ops/linear/gemm_space.ts).
  let splits = clamp(SPLIT_TO / (TILES * ((rows + TILE_ROWS - 1u) / TILE_ROWS)), 1u, MAX_SPLITS);
  var sum = 0.0;
  for (var split = 0u; split < splits; split++) { sum += partials[(split * rows + row) * PART_ROWS + column]; }
  store_value(row, column, sum, 0.0);
}
