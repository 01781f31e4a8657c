// y = W·x for many rows with integer codes of W, by 4×8-bit dot products. Tiles and lanes as in linear_gemm.wgsl, but a step of 32 columns
// passes through workgroup memory as codes: those of W in bytes, x as ops/linear_gemm_codes.wgsl has made it. Integer sums of a vector are
// exact; scales come once a vector. The columns may be shared by several workgroups (grid z: lib/gemm_split.wgsl).
// W: planes of PART_ROWS rows. out: [rows, OUT_COLS], columns from OUT_COLUMN on.

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"
// #import "lib/linear_store.wgsl"
// #import "lib/gemm_whole.wgsl"

// Rows of out are sampled rows.
const SAMPLED: bool = false;
const TILE_ROWS: u32 = 64u;
const ROWS_PER_LANE: u32 = 4u;
// Straight code for a step: for GPUs.
const UNROLLED: bool = true;

const TILE_COLUMNS: u32 = 64u;
const COLUMN_LANES: u32 = 16u;
const ROW_LANES: u32 = TILE_ROWS / ROWS_PER_LANE;
const WORKGROUP: u32 = COLUMN_LANES * ROW_LANES;
// Of a step: vectors, and pairs of quads, of it and of a vector.
const VECS: u32 = 8u / QUANT_QUADS;
const PAIRS: u32 = 4u;
const VEC_PAIRS: u32 = QUANT_QUADS / 2u;
// Pairs that an invocation loads: 1 or 2. Those of W are neighbours, in one vector.
const LOADS: u32 = TILE_ROWS * PAIRS / WORKGROUP;
const W_LOADS: u32 = TILE_COLUMNS * PAIRS / WORKGROUP;

override BLOCKS: u32 = 1u;
override PART_ROWS: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<Out>;
@group(0) @binding(6) var<storage, read> code_scales: array<vec2<f32>>;

// [pair of the step][row ^ 2·pair], hi, lo, hi, lo; [pair of the step][column ^ 4·pair]: writes of neighbouring pairs and reads of
// neighbouring rows both hit different banks.
var<workgroup> x_tile: array<vec4<u32>, TILE_ROWS * PAIRS>;
var<workgroup> w_tile: array<vec2<u32>, TILE_COLUMNS * PAIRS>;
// [vector of the step][row], [vector of the step][column].
var<workgroup> x_scales: array<vec2<f32>, TILE_ROWS * VECS>;
var<workgroup> w_scales: array<vec2<f32>, TILE_COLUMNS * VECS>;

// What an invocation has loaded of the next step.
struct XLoads { v0: vec4<u32>, v1: vec4<u32>, scale: vec2<f32> }
struct WLoads { packed: QuantVec, scale: vec2<f32> }

fn x_load(row: u32, rows: u32, step: u32, pair: u32) -> vec4<u32> {
  if (row >= rows) { return vec4<u32>(); }
  return codes[(row * BLOCKS + step) * PAIRS + pair];
}

// Of a step beyond the last one: anything, never used.
fn x_loads(thread: u32, first_row: u32, rows: u32, next: u32) -> XLoads {
  let step = min(next, BLOCKS - 1u);
  let row = first_row + thread / PAIRS;
  var loads: XLoads;
  loads.v0 = x_load(row, rows, step, thread % PAIRS);
  if (LOADS > 1u) { loads.v1 = x_load(row + WORKGROUP / PAIRS, rows, step, thread % PAIRS); }
  let scale_row = first_row + thread / VECS;
  if (thread < TILE_ROWS * VECS && scale_row < rows) { loads.scale = code_scales[(scale_row * BLOCKS + step) * VECS + thread % VECS]; }
  return loads;
}

fn x_put(row: u32, pair: u32, v: vec4<u32>) { x_tile[pair * TILE_ROWS + (row ^ (2u * pair))] = v; }

fn x_store(thread: u32, loads: XLoads) {
  x_put(thread / PAIRS, thread % PAIRS, loads.v0);
  if (LOADS > 1u) { x_put(thread / PAIRS + WORKGROUP / PAIRS, thread % PAIRS, loads.v1); }
  if (thread < TILE_ROWS * VECS) { x_scales[thread % VECS * TILE_ROWS + thread / VECS] = loads.scale; }
}

fn w_loads(row: u32, next: u32, pair: u32) -> WLoads {
  let vec = min(next, BLOCKS - 1u) * VECS + pair / VEC_PAIRS;
  return WLoads(quant_load(row, vec), quant_scale(row, vec));
}

fn w_put(column: u32, pair: u32, packed: QuantVec) {
  let quad = pair % VEC_PAIRS * 2u;
  w_tile[pair * TILE_COLUMNS + (column ^ (4u * pair))] = vec2<u32>(quant_codes(packed, quad), quant_codes(packed, quad + 1u));
}

fn w_store(column: u32, pair: u32, loads: WLoads) {
  w_put(column, pair, loads.packed);
  if (W_LOADS > 1u) { w_put(column, pair + 1u, loads.packed); }
  if (pair % VEC_PAIRS == 0u) { w_scales[pair / VEC_PAIRS * TILE_COLUMNS + column] = loads.scale; }
}

// Four rows of an invocation, each against its four columns: sums, and integer sums over a vector.
struct Sums { r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32> }
struct CodeSums { hi0: vec4<i32>, hi1: vec4<i32>, hi2: vec4<i32>, hi3: vec4<i32>, lo0: vec4<i32>, lo1: vec4<i32>, lo2: vec4<i32>, lo3: vec4<i32> }

fn dots(w: vec4<u32>, v: u32) -> vec4<i32> {
  return vec4<i32>(dot4I8Packed(w.x, v), dot4I8Packed(w.y, v), dot4I8Packed(w.z, v), dot4I8Packed(w.w, v));
}

fn x_pair(row: u32, pair: u32) -> vec4<u32> { return x_tile[pair * TILE_ROWS + (row ^ (2u * pair))]; }

fn w_pair(column: u32, pair: u32) -> vec2<u32> { return w_tile[pair * TILE_COLUMNS + (column ^ (4u * pair))]; }

fn pair_add(before: CodeSums, row: u32, column: u32, pair: u32) -> CodeSums {
  var sums = before;
  let c0 = w_pair(column, pair);
  let c1 = w_pair(column + COLUMN_LANES, pair);
  let c2 = w_pair(column + 2u * COLUMN_LANES, pair);
  let c3 = w_pair(column + 3u * COLUMN_LANES, pair);
  let a = vec4<u32>(c0.x, c1.x, c2.x, c3.x);
  let b = vec4<u32>(c0.y, c1.y, c2.y, c3.y);
  let v0 = x_pair(row, pair);
  sums.hi0 += dots(a, v0.x) + dots(b, v0.z);
  sums.lo0 += dots(a, v0.y) + dots(b, v0.w);
  let v1 = x_pair(row + ROW_LANES, pair);
  sums.hi1 += dots(a, v1.x) + dots(b, v1.z);
  sums.lo1 += dots(a, v1.y) + dots(b, v1.w);
  let v2 = x_pair(row + 2u * ROW_LANES, pair);
  sums.hi2 += dots(a, v2.x) + dots(b, v2.z);
  sums.lo2 += dots(a, v2.y) + dots(b, v2.w);
  let v3 = x_pair(row + 3u * ROW_LANES, pair);
  sums.hi3 += dots(a, v3.x) + dots(b, v3.z);
  sums.lo3 += dots(a, v3.y) + dots(b, v3.w);
  return sums;
}

fn scaled(hi: vec4<i32>, lo: vec4<i32>, x_scale: vec2<f32>, scale: vec4<f32>, offset: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
  let result = fma(scale, vec4<f32>(hi * 128 + lo) * x_scale.x, sum);
  if (QUANT_OFFSET) { return fma(offset, vec4<f32>(x_scale.y), result); }
  return result;
}

// One vector of four rows.
fn vec_add(before: Sums, row: u32, column: u32, vec: u32, one: u32) -> Sums {
  let pair = vec * VEC_PAIRS;
  var p = CodeSums();
  if (UNROLLED) {
    p = pair_add(p, row, column, pair);
    p = pair_add(p, row, column, pair + 1u);
    if (VEC_PAIRS > 2u) {
      p = pair_add(p, row, column, pair + 2u);
      p = pair_add(p, row, column, pair + 3u);
    }
  } else {
    for (var i = 0u; i < VEC_PAIRS * one; i++) { p = pair_add(p, row, column, pair + i); }
  }
  let c = vec * TILE_COLUMNS + column;
  let c0 = w_scales[c];
  let c1 = w_scales[c + COLUMN_LANES];
  let c2 = w_scales[c + 2u * COLUMN_LANES];
  let c3 = w_scales[c + 3u * COLUMN_LANES];
  let scale = vec4<f32>(c0.x, c1.x, c2.x, c3.x);
  let offset = vec4<f32>(c0.y, c1.y, c2.y, c3.y);
  let r = vec * TILE_ROWS + row;
  var sums = before;
  sums.r0 = scaled(p.hi0, p.lo0, x_scales[r], scale, offset, sums.r0);
  sums.r1 = scaled(p.hi1, p.lo1, x_scales[r + ROW_LANES], scale, offset, sums.r1);
  sums.r2 = scaled(p.hi2, p.lo2, x_scales[r + 2u * ROW_LANES], scale, offset, sums.r2);
  sums.r3 = scaled(p.hi3, p.lo3, x_scales[r + 3u * ROW_LANES], scale, offset, sums.r3);
  return sums;
}

fn step_add(before: Sums, row: u32, column: u32, one: u32) -> Sums {
  var sums = before;
  if (UNROLLED) {
    sums = vec_add(sums, row, column, 0u, one);
    if (VECS > 1u) { sums = vec_add(sums, row, column, 1u, one); }
  } else {
    for (var vec = 0u; vec < VECS * one; vec++) { sums = vec_add(sums, row, column, vec, one); }
  }
  return sums;
}

fn store_row(row: u32, rows: u32, column: u32, share: vec2<u32>, sums: vec4<f32>) {
  store_sum(row, rows, column, share, sums.x);
  store_sum(row, rows, column + COLUMN_LANES, share, sums.y);
  store_sum(row, rows, column + 2u * COLUMN_LANES, share, sums.z);
  store_sum(row, rows, column + 3u * COLUMN_LANES, share, sums.w);
}

fn store_rows(row: u32, rows: u32, column: u32, share: vec2<u32>, sums: Sums) {
  store_row(row, rows, column, share, sums.r0);
  store_row(row + ROW_LANES, rows, column, share, sums.r1);
  store_row(row + 2u * ROW_LANES, rows, column, share, sums.r2);
  store_row(row + 3u * ROW_LANES, rows, column, share, sums.r3);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let rows = select(step_rows(), step_sampled_rows(), SAMPLED);
  let first_row = id.y * TILE_ROWS;
  let first_out = id.x * TILE_COLUMNS;
  if (first_row >= rows) { return; }
  // 1, but compilers do not know: bounds times this one keep them from unrolling.
  let one = min(rows, 1u);

  let w_first = thread % (PAIRS / W_LOADS) * W_LOADS;
  let w_column = thread / (PAIRS / W_LOADS);
  let weight_row = min(first_out + w_column, PART_ROWS - 1u);
  let column = thread % COLUMN_LANES;
  let row = thread / COLUMN_LANES;

  // Eight rows an invocation are two times four: fewer registers than eight rows' integer sums.
  var low = Sums();
  var high = Sums();
  let share = vec2<u32>(id.z, count.z);
  let steps = steps_of(share, BLOCKS);
  var x_next = x_loads(thread, first_row, rows, steps.x);
  var w_next = w_loads(weight_row, steps.x, w_first);
  for (var step = steps.x; step < steps.y; step++) {
    x_store(thread, x_next);
    w_store(w_column, w_first, w_next);
    workgroupBarrier();
    x_next = x_loads(thread, first_row, rows, step + 1u);
    w_next = w_loads(weight_row, step + 1u, w_first);
    low = step_add(low, row, column, one);
    if (ROWS_PER_LANE > 4u) { high = step_add(high, row + 4u * ROW_LANES, column, one); }
    workgroupBarrier();
  }

  store_rows(first_row + row, rows, first_out + column, share, low);
  if (ROWS_PER_LANE > 4u) { store_rows(first_row + row + 4u * ROW_LANES, rows, first_out + column, share, high); }
}
