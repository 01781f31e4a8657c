// Attention of many query rows over KV pages: FlashAttention-2 (Dao 2023) in the portable subset. A workgroup serves
// one attention tile (consecutive rows of one segment) and HEADS query heads of one KV head. Rows and heads together
// are its query vectors, vector = row · HEADS + head: every page of K and V is read once for all of them.
//
// q, out: [rows, NUM_HEADS, HEAD_DIM]; k, v: [page][KV head][PAGE_SIZE][HEAD_DIM]. sinks: one logit per head that joins
// the sum and has no value. Workgroup (tile, KV head and chunk
// of its heads, part of the tile's rows). Scores: a lane computes 4 vectors × 2 keys from panels of Q and K. Values: a lane owns 4 vectors × 4
// dimensions of the output. A vec4 over vectors belongs to a vector group.

// #import "lib/step.wgsl"
// #import "lib/attention_mask.wgsl"
// #import "lib/online_softmax.wgsl"
// #import "lib/soft_cap.wgsl"
// #import "kv/read_f32.wgsl"

alias Act = f32;

override NUM_HEADS: u32 = 1u;
override NUM_KV_HEADS: u32 = 1u;
// Which block table the cache is found by (lib/step.wgsl).
override KV_GROUP: u32 = 0u;
override SCALE: f32 = 1.0;

// The tile's shape: src/ops/attention/tile.ts.
const HEAD_DIM = 8u;
const HEADS = 1u;
const HEAD_CHUNKS = 1u;
// Rows of a workgroup: a tile's rows may be shared by several.
const PART_ROWS = 64u;
const VECTOR_GROUPS = 16u;
const PANEL_QUADS = 2u;
const PANEL_KEYS = 32u;
const PANEL_SIZE = 288u;
const LANES = 256u;
const SINKS = false;

const QUADS = HEAD_DIM / 4u;
const VECTORS = 4u * VECTOR_GROUPS;
// One vec4 of padding keeps rows off each other's banks.
const PANEL_STRIDE = PANEL_QUADS + 1u;
const KEY_PANEL = VECTORS * PANEL_STRIDE;
const KEY_LANES = PAGE_SIZE / 2u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> q: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> k: array<KvWord>;
@group(0) @binding(3) var<storage, read> v: array<KvWord>;
@group(0) @binding(4) var<storage, read> sinks: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<Act>>;

// Q panel [VECTORS][PANEL_STRIDE], K panel [PAGE_SIZE][PANEL_STRIDE]; later the V panel [PANEL_KEYS][QUADS].
var<workgroup> panels: array<vec4<f32>, PANEL_SIZE>;
// Maxima [KEY_LANES][VECTOR_GROUPS], then weights [PAGE_SIZE][VECTOR_GROUPS].
var<workgroup> weights: array<vec4<f32>, PAGE_SIZE * VECTOR_GROUPS>;
// What the values so far are multiplied by when the maximum grows.
var<workgroup> shrinks: array<vec4<f32>, VECTOR_GROUPS>;

struct Tile {
  first_row: u32,
  rows: u32,
  first_position: u32,
  pages_offset: u32,
  length: u32,
}

// A tile ends where the segment's next tile begins.
fn tile_at(index: u32) -> Tile {
  let segment_index = step_tile_segment(index);
  let segment = step_segment(segment_index);
  let first_row = step_tile_first_row(index);
  var end = segment.first_row + segment.row_count;
  if (index + 1u < step_tiles() && step_tile_segment(index + 1u) == segment_index) {
    end = step_tile_first_row(index + 1u);
  }
  let first_position = segment.first_position + first_row - segment.first_row;
  return Tile(first_row, end - first_row, first_position, step_table(segment, KV_GROUP), segment.length);
}

fn sink_of(vector: u32, first_head: u32, heads: u32) -> f32 {
  return sinks[first_head + min(vector % HEADS, heads - 1u)];
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  var tile = tile_at(group.x);
  let before = group.z * PART_ROWS;
  if (before >= tile.rows) { return; }
  tile.first_row += before;
  tile.first_position += before;
  tile.rows = min(tile.rows - before, PART_ROWS);
  let kv_head = group.y / HEAD_CHUNKS;
  let heads_per_kv = NUM_HEADS / NUM_KV_HEADS;
  let chunk_head = (group.y % HEAD_CHUNKS) * HEADS;
  let first_head = kv_head * heads_per_kv + chunk_head;
  let heads = min(HEADS, heads_per_kv - chunk_head);

  // The lane's part in each phase.
  let score_group = lane / KEY_LANES;
  let key_lane = lane % KEY_LANES;
  let scores_here = score_group < VECTOR_GROUPS;
  let value_group = lane / QUADS;
  let value_quad = lane % QUADS;
  let values_here = value_group < VECTOR_GROUPS;

  // What the score group's vectors see; vectors past the tile's rows repeat the last and are never written.
  let vector = vec4<u32>(4u * score_group) + vec4<u32>(0u, 1u, 2u, 3u);
  let position = tile.first_position + min(vector / HEADS, vec4<u32>(tile.rows - 1u));
  let seen_from = vec4<u32>(
    seen_begin(position.x), seen_begin(position.y), seen_begin(position.z), seen_begin(position.w),
  );
  let seen_to = vec4<u32>(
    seen_end(position.x, tile.length),
    seen_end(position.y, tile.length),
    seen_end(position.z, tile.length),
    seen_end(position.w, tile.length),
  );

  // A sink is what has been seen before the first key.
  var best = vec4<f32>(LOWEST);
  var sum = vec4<f32>(0.0);
  if (SINKS) {
    best = vec4<f32>(
      sink_of(vector.x, first_head, heads),
      sink_of(vector.y, first_head, heads),
      sink_of(vector.z, first_head, heads),
      sink_of(vector.w, first_head, heads),
    );
    sum = vec4<f32>(1.0);
  }
  var values_0 = vec4<f32>(0.0);
  var values_1 = vec4<f32>(0.0);
  var values_2 = vec4<f32>(0.0);
  var values_3 = vec4<f32>(0.0);

  let end = seen_end(tile.first_position + tile.rows - 1u, tile.length);
  let begin = seen_begin(tile.first_position) / PAGE_SIZE * PAGE_SIZE;
  for (var page_start = begin; page_start < end; page_start += PAGE_SIZE) {
    let page = (step_page(tile.pages_offset, page_start) * NUM_KV_HEADS + kv_head) * PAGE_SIZE * QUADS;
    let keys = min(PAGE_SIZE, end - page_start);

    var score_a = vec4<f32>(0.0);
    var score_b = vec4<f32>(0.0);
    for (var panel = 0u; panel < QUADS; panel += PANEL_QUADS) {
      for (var i = lane; i < VECTORS * PANEL_QUADS; i += LANES) {
        let at = i / PANEL_QUADS;
        let quad = panel + i % PANEL_QUADS;
        var values = vec4<f32>(0.0);
        if (at / HEADS < tile.rows && at % HEADS < heads && quad < QUADS) {
          let head = (tile.first_row + at / HEADS) * NUM_HEADS + first_head + at % HEADS;
          values = SCALE * vec4<f32>(q[head * QUADS + quad]);
        }
        panels[at * PANEL_STRIDE + i % PANEL_QUADS] = values;
      }
      for (var i = lane; i < PAGE_SIZE * PANEL_QUADS; i += LANES) {
        let key = i / PANEL_QUADS;
        let quad = panel + i % PANEL_QUADS;
        var values = vec4<f32>(0.0);
        if (key < keys && quad < QUADS) { values = read_k(page + key * QUADS + quad); }
        panels[KEY_PANEL + key * PANEL_STRIDE + i % PANEL_QUADS] = values;
      }
      workgroupBarrier();
      if (scores_here) {
        var q_at = 4u * score_group * PANEL_STRIDE;
        let k_at = KEY_PANEL + key_lane * PANEL_STRIDE;
        for (var i = k_at; i < k_at + PANEL_QUADS; i++) {
          let key_a = panels[i];
          let key_b = panels[i + KEY_LANES * PANEL_STRIDE];
          let query_0 = panels[q_at];
          let query_1 = panels[q_at + PANEL_STRIDE];
          let query_2 = panels[q_at + 2u * PANEL_STRIDE];
          let query_3 = panels[q_at + 3u * PANEL_STRIDE];
          q_at++;
          score_a += vec4<f32>(dot(query_0, key_a), dot(query_1, key_a), dot(query_2, key_a), dot(query_3, key_a));
          score_b += vec4<f32>(dot(query_0, key_b), dot(query_1, key_b), dot(query_2, key_b), dot(query_3, key_b));
        }
      }
      workgroupBarrier();
    }

    let key_a = vec4<u32>(page_start + key_lane);
    let key_b = key_a + KEY_LANES;
    let visible_a = (key_a >= seen_from) & (key_a < seen_to);
    let visible_b = (key_b >= seen_from) & (key_b < seen_to);
    score_a = select(vec4<f32>(LOWEST), soft_cap(score_a), visible_a);
    score_b = select(vec4<f32>(LOWEST), soft_cap(score_b), visible_b);
    if (scores_here) { weights[key_lane * VECTOR_GROUPS + score_group] = max(score_a, score_b); }
    workgroupBarrier();
    var new_best = best;
    if (scores_here) {
      for (var i = score_group; i < KEY_LANES * VECTOR_GROUPS; i += VECTOR_GROUPS) {
        new_best = max(new_best, weights[i]);
      }
    }
    workgroupBarrier();
    if (scores_here) {
      let weight_a = select(vec4<f32>(0.0), exp(score_a - new_best), visible_a);
      let weight_b = select(vec4<f32>(0.0), exp(score_b - new_best), visible_b);
      weights[key_lane * VECTOR_GROUPS + score_group] = weight_a;
      weights[(key_lane + KEY_LANES) * VECTOR_GROUPS + score_group] = weight_b;
      if (key_lane == 0u) { shrinks[score_group] = exp(best - new_best); }
      best = new_best;
    }
    workgroupBarrier();

    if (values_here) {
      let shrink = shrinks[value_group];
      sum *= shrink;
      values_0 *= shrink.x;
      values_1 *= shrink.y;
      values_2 *= shrink.z;
      values_3 *= shrink.w;
    }
    for (var first_key = 0u; first_key < keys; first_key += PANEL_KEYS) {
      let count = min(PANEL_KEYS, keys - first_key);
      for (var i = lane; i < count * QUADS; i += LANES) { panels[i] = read_v(page + first_key * QUADS + i); }
      workgroupBarrier();
      if (values_here) {
        for (var key = 0u; key < count; key++) {
          let weight = weights[(first_key + key) * VECTOR_GROUPS + value_group];
          let value = panels[key * QUADS + value_quad];
          sum += weight;
          values_0 += weight.x * value;
          values_1 += weight.y * value;
          values_2 += weight.z * value;
          values_3 += weight.w * value;
        }
      }
      workgroupBarrier();
    }
  }

  if (values_here) {
    write_values(tile, 4u * value_group, first_head, heads, value_quad, values_0 / sum.x);
    write_values(tile, 4u * value_group + 1u, first_head, heads, value_quad, values_1 / sum.y);
    write_values(tile, 4u * value_group + 2u, first_head, heads, value_quad, values_2 / sum.z);
    write_values(tile, 4u * value_group + 3u, first_head, heads, value_quad, values_3 / sum.w);
  }
}

fn write_values(tile: Tile, vector: u32, first_head: u32, heads: u32, quad: u32, values: vec4<f32>) {
  let row = vector / HEADS;
  let head = vector % HEADS;
  if (row >= tile.rows || head >= heads) { return; }
  out[((tile.first_row + row) * NUM_HEADS + first_head + head) * QUADS + quad] = vec4<Act>(values);
}
