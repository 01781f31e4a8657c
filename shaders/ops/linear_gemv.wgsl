// y = W·n(x) for a few rows, memory bound: every packed word of W is read once for up to ROWS rows (docs/kernels/linear.md).
// x: [rows, COLS] in quads. W: planes of PART_ROWS rows. out: [rows, OUT_COLS], columns from OUT_COLUMN on.
// Rows of x pass through workgroup memory, a sweep of 256 columns and more at a time. linear_gemv_direct.wgsl does without.

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"
// #import "lib/linear_bias.wgsl"
// #import "lib/linear_products.wgsl"

alias Act = f32;

// x passes through 8 KiB of workgroup memory: up to 8 rows at a time, and as many sweeps as there is room for.
const TILE_QUADS: u32 = 512u;
const TILE_SWEEPS: u32 = TILE_QUADS / (TILE_ROWS * SWEEP_QUADS);
const TILE_STRIDE: u32 = TILE_SWEEPS * SWEEP_QUADS;
// Rows whose sums are kept at a time: two tiles of eight, or one smaller tile, after which the weights come from the cache.
const PASS_ROWS: u32 = TILE_ROWS * (1u + (TILE_ROWS / 8u) * (ROWS / 16u));

override COLS: u32 = 4u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<Out>;

// [tile row][sweep][quad of a lane][lane of the sweep]: neighbouring lanes read neighbouring vectors. Partial sums at the end.
var<workgroup> tile: array<vec4<f32>, TILE_QUADS>;

alias XPlace = u32;

fn x_rows(place: XPlace, quad: u32, row: u32) -> mat4x4<f32> {
  let at = place + quad * SWEEP_LANES + row * TILE_STRIDE;
  var v: mat4x4<f32>;
  v[0] = tile[at];
  if (TILE_ROWS > 1u) { v[1] = tile[at + TILE_STRIDE]; }
  if (TILE_ROWS > 2u) {
    v[2] = tile[at + 2u * TILE_STRIDE];
    v[3] = tile[at + 3u * TILE_STRIDE];
  }
  return v;
}

// The tile holds weighted values.
fn norm_quad(place: XPlace, quad: u32) -> vec4<f32> { return vec4<f32>(1.0); }

// Rows [first_row + tile_row, … + TILE_ROWS) of x into the tile, weighted by the norm; zero beyond the step's rows and x's columns.
// An invocation always gets the same (row, place), so it alone adds to that square sum.
fn load_tile(thread: u32, first_sweep: u32, sweeps: u32, first_row: u32, tile_row: u32, rows: u32, one: u32) {
  for (var item = thread; item < TILE_ROWS * SWEEP_QUADS * one; item += WORKGROUP) {
    let r = item / SWEEP_QUADS;
    let place = item % SWEEP_QUADS;
    let quad = (place % SWEEP_LANES) * QUANT_QUADS + place / SWEEP_LANES;
    let row = first_row + tile_row + r;
    let end = select(0u, COLS / 4u, row < rows);
    var start = 0u;
    if (row < rows) { start = source_row(row) * (COLS / 4u); }
    // Goes on from the last tile's sum: where tiles end depends on ROWS, the order of the additions must not.
    var sum = 0.0;
    if (NORM) { sum = squares[quad * ROWS + tile_row + r]; }
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
    if (NORM) { squares[quad * ROWS + tile_row + r] = sum; }
  }
}

// The sweeps of a tile that are this lane's: it and the lanes beside it take turns.
fn tile_add(sums: SlotSums, weights: vec4<u32>, first_sweep: u32, sweeps: u32, lane: u32, one: u32) -> SlotSums {
  var result = sums;
  var vec = first_sweep * SWEEP_LANES + lane;
  var packed = load_packed(weights, vec);
  var scale = load_scales(weights, vec);
  for (var s = lane / SWEEP_LANES; s < sweeps; s += SPLIT) {
    vec += LANES;
    // The next vector is on its way while this one is multiplied.
    var next_packed: Packed;
    var next_scale: Scales;
    if (TILE_SWEEPS > SPLIT) {
      next_packed = load_packed(weights, vec);
      next_scale = load_scales(weights, vec);
    }
    result = vec_add(result, packed, scale, s * SWEEP_QUADS + lane % SWEEP_LANES, one);
    packed = next_packed;
    scale = next_scale;
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
  // 1, but compilers do not know: bounds times this one keep them from unrolling every loop, which takes some of them tens of seconds.
  let one = min(rows, 1u);
  let sweeps = (COLS / 4u + SWEEP_QUADS - 1u) / SWEEP_QUADS * one;

  for (var pass_row = 0u; pass_row < ROWS && first_row + pass_row < rows; pass_row += PASS_ROWS) {
    // Rows 8–15 have a tile of their own, which steps of up to eight rows do without.
    let upper = PASS_ROWS > TILE_ROWS && rows > first_row + TILE_ROWS;
    // Written out: a declaration alone was seen to keep the last round's value.
    var lower_sums = SlotSums();
    var upper_sums = SlotSums();
    for (var first = 0u; first < sweeps; first += TILE_SWEEPS) {
      let tile_sweeps = min(sweeps - first, TILE_SWEEPS);
      load_tile(thread, first, tile_sweeps, first_row, pass_row, rows, one);
      workgroupBarrier();
      lower_sums = tile_add(lower_sums, weights, first, tile_sweeps, lane, one);
      workgroupBarrier();
      if (upper) {
        load_tile(thread, first, tile_sweeps, first_row, TILE_ROWS, rows, one);
        workgroupBarrier();
        upper_sums = tile_add(upper_sums, weights, first, tile_sweeps, lane, one);
        workgroupBarrier();
      }
    }

    if (NORM) { fold_squares(thread, pass_row, PASS_ROWS, one); }
    let live_rows = min(rows - first_row - pass_row, PASS_ROWS);
    for (var i = 0u; i * 4u < live_rows; i++) {
      finish(thread, lower_sums, upper_sums, pass_row / 4u + i, first_out, first_row, rows, one);
    }
  }
}
