// What the GEMV kernels share: LANES neighbouring invocations compute OUTS output rows for up to ROWS rows of x, lane l from the vectors
// l, l + LANES, … of each weight row, and add their sums up at the end, as a tree. A row's result depends on LANES and the weight's format
// alone, never on ROWS, OUTS, WORKGROUP or on the other rows: one row and sixteen agree to the bit. That is why products are written as
// chains of fma, which leave a compiler nothing to contract one way here and another there.
// The entry file declares the bindings, `override COLS` and the array `tile`, in which partial sums lie at the end.

// #import "quant/f32.wgsl"
// #import "lib/step.wgsl"
// #import "lib/reduce_workgroup.wgsl"
// #import "lib/linear_store.wgsl"
// #import "lib/linear_norm.wgsl"

const ROWS: u32 = 1u;
const OUTS: u32 = 2u;
const WORKGROUP: u32 = 64u;
// Sweeps of 256 columns that the lanes of an output cover side by side.
const SPLIT: u32 = 1u;
// Straight code for the quads of a vector: for GPUs. Software adapters compile that for seconds and gain nothing.
const UNROLLED: bool = true;
const NORM: bool = false;
// Rows of out are sampled rows; GATHER: those of x are the step's, so they are looked up.
const SAMPLED: bool = false;
const GATHER: bool = false;

// Invocations that cover a sweep, and an output.
const SWEEP_LANES: u32 = 64u / QUANT_QUADS;
const LANES: u32 = SPLIT * SWEEP_LANES;
const REDUCE_LANES: u32 = LANES;
const GROUPS: u32 = WORKGROUP / LANES;
const OUT_SLOTS: u32 = select(OUTS, OUTS / 2u, GLU);
// Rows that a lane computes at a time: 1, 4 or 8.
const MAX_TILE_ROWS: u32 = 8u;
const TILE_ROWS: u32 = min(ROWS, MAX_TILE_ROWS);

override BLOCKS: u32 = 1u;
override PART_ROWS: u32 = 1u;

// Up to four output rows of a lane.
struct Packed { v0: QuantVec, v1: QuantVec, v2: QuantVec, v3: QuantVec }
struct Scales { v0: vec2<f32>, v1: vec2<f32>, v2: vec2<f32>, v3: vec2<f32> }
// Sums of eight rows of x: rows 0–3 and 4–7.
struct Sums { low: vec4<f32>, high: vec4<f32> }
struct SlotSums { v0: Sums, v1: Sums, v2: Sums, v3: Sums }

fn dot_add(w: vec4<f32>, v: vec4<f32>, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
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

fn store(row: u32, rows: u32, column: u32, total: f32, up: f32, scale: f32) {
  if (row < rows) { store_value(row, column, total * scale, up * scale); }
}

// Rows 4i … 4i + 3 of a slot.
fn four_rows(lower: Sums, upper: Sums, i: u32) -> vec4<f32> {
  if (TILE_ROWS <= 4u) { return lower.low; }
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
  let apart = reduce_shared(thread, WORKGROUP * OUTS, width);
  let bound = select(one, 1u, UNROLLED);
  let outs = select(PART_ROWS, PART_ROWS / 2u, GLU);
  for (var item = thread; item < GROUPS * OUT_SLOTS * one; item += WORKGROUP) {
    let group = item / OUT_SLOTS;
    let slot = item % OUT_SLOTS;
    let column = first_out + item;
    if (column < outs) {
      let at = slot * WORKGROUP + group * LANES;
      let total = reduce_rest(at, apart, bound);
      var up = vec4<f32>();
      if (GLU) { up = reduce_rest(at + OUT_SLOTS * WORKGROUP, apart, bound); }
      let row = first_row + 4u * i;
      let scale = row_scales(i, one);
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

