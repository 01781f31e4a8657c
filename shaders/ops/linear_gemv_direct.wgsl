// y = W·n(x) for a few rows, memory bound: as linear_gemv.wgsl, but every lane reads its columns of x where they lie, which the lanes of
// other outputs have just brought into the cache. No barrier until the sums are done, so that any number of lanes may share an output.
// x: [rows, COLS] in quads. W: planes of PART_ROWS rows. out: [rows, OUT_COLS], columns from OUT_COLUMN on.

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"
// #import "lib/linear_bias.wgsl"
// #import "lib/linear_products.wgsl"

alias Act = f32;

override COLS: u32 = 4u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> norm_weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<Out>;

// Partial sums: [slot][invocation], of four rows.
var<workgroup> tile: array<vec4<f32>, WORKGROUP * OUTS>;

// First quads of eight rows of x.
struct RowStarts { low: vec4<u32>, high: vec4<u32> }
struct XPlace { first_quad: u32, starts: RowStarts }

fn x_quad(start: u32, at: u32) -> vec4<f32> {
  // Only a last block of fewer than 32 columns ends within a vector.
  if (COLS % 32u != 0u && at >= COLS / 4u) { return vec4<f32>(); }
  return vec4<f32>(x[start + at]);
}

fn x_rows(place: XPlace, quad: u32, row: u32) -> mat4x4<f32> {
  let at = place.first_quad + quad;
  let starts = select(place.starts.high, place.starts.low, row == 0u);
  var v: mat4x4<f32>;
  v[0] = x_quad(starts.x, at);
  if (TILE_ROWS > 1u) { v[1] = x_quad(starts.y, at); }
  if (TILE_ROWS > 2u) {
    v[2] = x_quad(starts.z, at);
    v[3] = x_quad(starts.w, at);
  }
  return v;
}

fn norm_quad(place: XPlace, quad: u32) -> vec4<f32> {
  let at = place.first_quad + quad;
  if (COLS % 32u != 0u && at >= COLS / 4u) { return vec4<f32>(); }
  return norm_weight[at];
}

// Rows beyond the step's are its last one again: computed, never stored.
fn row_start(row: u32, rows: u32) -> u32 { return source_row(min(row, rows - 1u)) * (COLS / 4u); }

fn four_starts(row: u32, rows: u32) -> vec4<u32> {
  var starts: vec4<u32>;
  starts.x = row_start(row, rows);
  if (ROWS > 1u) {
    starts.y = row_start(row + 1u, rows);
    starts.z = row_start(row + 2u, rows);
    starts.w = row_start(row + 3u, rows);
  }
  return starts;
}

fn eight_starts(row: u32, rows: u32) -> RowStarts {
  var starts: RowStarts;
  starts.low = four_starts(row, rows);
  if (TILE_ROWS > 4u) { starts.high = four_starts(row + 4u, rows); }
  return starts;
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
  let vecs = BLOCKS * (8u / QUANT_QUADS);
  if (NORM) {
    sum_squares(thread, first_row, rows, one);
    workgroupBarrier();
    fold_squares(thread, 0u, ROWS, one);
  }

  // Eight rows at a time: the second time the weights come from the cache.
  for (var tile_row = 0u; tile_row < ROWS && first_row + tile_row < rows; tile_row += TILE_ROWS) {
    let starts = eight_starts(first_row + tile_row, rows);
    // Written out: a declaration alone was seen to keep the last round's value.
    var sums = SlotSums();
    var packed = load_packed(weights, lane);
    var scale = load_scales(weights, lane);
    for (var vec = lane; vec < vecs; vec += LANES) {
      // The next vector is on its way while this one is multiplied.
      let next_packed = load_packed(weights, vec + LANES);
      let next_scale = load_scales(weights, vec + LANES);
      sums = vec_add(sums, packed, scale, XPlace(vec * QUANT_QUADS, starts), one);
      packed = next_packed;
      scale = next_scale;
    }
    let live_rows = min(rows - first_row - tile_row, TILE_ROWS);
    for (var i = 0u; i * 4u < live_rows; i++) {
      finish(thread, sums, sums, tile_row / 4u + i, first_out, first_row, rows, one);
    }
  }
}
