// Attention of few query rows, first half of two: each row's context is cut into splits at fixed positions and every
// split is reduced to (max, sum, Σ p·v) per query head, with an online softmax in f32 (Milakov & Gimelshein 2018;
// split-KV as in Flash-Decoding, Dao et al. 2023). What a workgroup computes depends on its own row alone: a row's
// result does not change with the rest of the step.
//
// q: [rows, NUM_HEADS, HEAD_DIM]; k, v: [page][KV head][PAGE_SIZE][HEAD_DIM]. partials: [rows, NUM_HEADS, SPLITS] of
// QUADS vec4s Σ p·v and one vec4 (max, sum, -, -); splits count from the first that the row sees. Workgroup (split, KV
// head and chunk of its query heads, row).
// Scores: LANES_PER_KEY lanes share a key, a lane has up to four keys at a time, so that a query is read once for four.
// Values: QUADS lanes share a key, SLICES keys at a time. A vec4 over heads is called a head quad.

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
override SPLITS: u32 = 1u;
override SPLIT_POSITIONS: u32 = 256u;
override SCALE: f32 = 1.0;

const HEAD_DIM = 8u;
// Query heads of this workgroup: at most 8. HEAD_CHUNKS workgroups serve the heads of one KV head.
const HEADS = 1u;
const HEAD_CHUNKS = 1u;
const HEAD_QUADS = 1u;
// Keys whose scores are held at once: a multiple of PAGE_SIZE and of ROUND.
const KEYS = 32u;
const LANES = 128u;
const LANES_PER_KEY = 4u;

const QUADS = HEAD_DIM / 4u;
// Keys that the lanes score at once, times the keys of a lane.
const ROUND = LANES / LANES_PER_KEY;
const LANE_KEYS = min(4u, KEYS / ROUND);
const SLICES = min(LANES / QUADS, PAGE_SIZE);
// The second head quad, or the first again where there is no second.
const SECOND = HEAD_QUADS - 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> q: array<vec4<Act>>;
@group(0) @binding(2) var<storage, read> k: array<KvWord>;
@group(0) @binding(3) var<storage, read> v: array<KvWord>;
@group(0) @binding(4) var<storage, read_write> partials: array<vec4<f32>>;

// The scaled queries, [HEAD_QUADS][HEAD_DIM], one head per component.
var<workgroup> queries: array<vec4<f32>, HEAD_QUADS * HEAD_DIM>;
// Per-lane sums: of dot products [HEAD_QUADS][LANES], later of values [LANES].
var<workgroup> lane_sums: array<vec4<f32>, HEAD_QUADS * LANES>;
// Scores, then weights: [HEAD_QUADS][KEYS].
var<workgroup> weights: array<vec4<f32>, HEAD_QUADS * KEYS>;
// Maxima, later sums, by key of a page: [HEAD_QUADS][PAGE_SIZE].
var<workgroup> page_lanes: array<vec4<f32>, HEAD_QUADS * PAGE_SIZE>;

fn query_value(row: u32, first_head: u32, heads: u32, head: u32, dim: u32) -> f32 {
  if (head >= heads) { return 0.0; }
  return SCALE * f32(q[(row * NUM_HEADS + first_head + head) * QUADS + dim / 4u][dim % 4u]);
}

// What four values of a key add to the scores of a head quad whose queries there are q0 … q3.
fn product(key: vec4<f32>, q0: vec4<f32>, q1: vec4<f32>, q2: vec4<f32>, q3: vec4<f32>, sum: vec4<f32>) -> vec4<f32> {
  let a = fma(vec4<f32>(key.x), q0, sum);
  let b = fma(vec4<f32>(key.y), q1, a);
  return fma(vec4<f32>(key.w), q3, fma(vec4<f32>(key.z), q2, b));
}

// First quad of a key's K and V.
fn key_quad(pages_offset: u32, kv_head: u32, key: u32) -> u32 {
  return ((step_page(pages_offset, key) * NUM_KV_HEADS + kv_head) * PAGE_SIZE + key % PAGE_SIZE) * QUADS;
}

// Puts the scores of ROUND keys from `place` of the tile on together from the sums of their lanes.
fn keep_scores(lane: u32, place: u32, a: vec4<f32>, b: vec4<f32>, seen: bool, one: u32) {
  var score_a = a;
  var score_b = b;
  if (LANES_PER_KEY > 1u) {
    lane_sums[lane] = a;
    if (HEAD_QUADS > 1u) { lane_sums[SECOND * LANES + lane] = b; }
    workgroupBarrier();
    if (lane % LANES_PER_KEY == 0u) {
      for (var i = 1u; i < LANES_PER_KEY * one; i++) {
        score_a += lane_sums[lane + i];
        if (HEAD_QUADS > 1u) { score_b += lane_sums[SECOND * LANES + lane + i]; }
      }
    }
  }
  if (lane % LANES_PER_KEY == 0u) {
    let at = place + lane / LANES_PER_KEY;
    weights[at] = select(vec4<f32>(LOWEST), soft_cap(score_a), seen);
    if (HEAD_QUADS > 1u) { weights[SECOND * KEYS + at] = select(vec4<f32>(LOWEST), soft_cap(score_b), seen); }
  }
  workgroupBarrier();
}

// Turns page_lanes into one maximum per head quad, at [head quad][0].
fn reduce_max(lane: u32, one: u32) {
  workgroupBarrier();
  for (var half = PAGE_SIZE / 2u * one; half > 0u; half /= 2u) {
    if (lane < HEAD_QUADS * PAGE_SIZE && lane % PAGE_SIZE < half) {
      page_lanes[lane] = max(page_lanes[lane], page_lanes[lane + half]);
    }
    workgroupBarrier();
  }
}

fn reduce_sum(lane: u32, one: u32) {
  workgroupBarrier();
  for (var half = PAGE_SIZE / 2u * one; half > 0u; half /= 2u) {
    if (lane < HEAD_QUADS * PAGE_SIZE && lane % PAGE_SIZE < half) { page_lanes[lane] += page_lanes[lane + half]; }
    workgroupBarrier();
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let kv_head = group.y / HEAD_CHUNKS;
  let row = group.z;
  let heads_per_kv = NUM_HEADS / NUM_KV_HEADS;
  let chunk_head = (group.y % HEAD_CHUNKS) * HEADS;
  let first_head = kv_head * heads_per_kv + chunk_head;
  let heads = min(HEADS, heads_per_kv - chunk_head);
  let segment = step_segment(step_row_segment(row));
  let pages_offset = step_table(segment, KV_GROUP);
  // One, which compilers cannot know: they would unroll loops of constant length over workgroup memory, which takes some of them seconds.
  let one = min(step_rows(), 1u);

  // Keys [begin, end) of this split, [visible, end) of them seen by the row.
  let position = step_row_position(row);
  let visible = seen_begin(position);
  let split = visible / SPLIT_POSITIONS + group.x;
  let end = min((split + 1u) * SPLIT_POSITIONS, seen_end(position, segment.length));
  let begin = max(split * SPLIT_POSITIONS, visible / PAGE_SIZE * PAGE_SIZE);
  if (begin >= end) { return; }

  for (var i = lane; i < HEAD_QUADS * HEAD_DIM; i += LANES) {
    let dim = i % HEAD_DIM;
    let head = i / HEAD_DIM * 4u;
    queries[i] = vec4<f32>(
      query_value(row, first_head, heads, head, dim),
      query_value(row, first_head, heads, head + 1u, dim),
      query_value(row, first_head, heads, head + 2u, dim),
      query_value(row, first_head, heads, head + 3u, dim),
    );
  }
  workgroupBarrier();

  // The lane's part in each phase.
  let dot_key = lane / LANES_PER_KEY;
  let dot_quad = lane % LANES_PER_KEY;
  let softmax_lane = lane < HEAD_QUADS * PAGE_SIZE;
  let softmax_quad = lane / PAGE_SIZE;
  let softmax_key = lane % PAGE_SIZE;
  let value_quad = lane % QUADS;
  let slice = lane / QUADS;

  var best_a = vec4<f32>(LOWEST);
  var best_b = vec4<f32>(LOWEST);
  // Of this lane's keys of its own head quad.
  var sum = vec4<f32>(0.0);
  // Σ p·v of heads 0 … 7, of this lane's value quad and slice.
  var values_0 = vec4<f32>(0.0);
  var values_1 = vec4<f32>(0.0);
  var values_2 = vec4<f32>(0.0);
  var values_3 = vec4<f32>(0.0);
  var values_4 = vec4<f32>(0.0);
  var values_5 = vec4<f32>(0.0);
  var values_6 = vec4<f32>(0.0);
  var values_7 = vec4<f32>(0.0);

  for (var tile = begin; tile < end; tile += KEYS) {
    let tile_end = min(tile + KEYS, end);

    for (var first = tile; first < tile_end; first += LANE_KEYS * ROUND) {
      // Keys past the end repeat the last and are not kept.
      let key = first + dot_key;
      let key_0 = key_quad(pages_offset, kv_head, min(key, tile_end - 1u));
      let key_1 = key_quad(pages_offset, kv_head, min(key + ROUND, tile_end - 1u));
      let key_2 = key_quad(pages_offset, kv_head, min(key + 2u * ROUND, tile_end - 1u));
      let key_3 = key_quad(pages_offset, kv_head, min(key + 3u * ROUND, tile_end - 1u));
      var dot_a0 = vec4<f32>(0.0);
      var dot_a1 = vec4<f32>(0.0);
      var dot_a2 = vec4<f32>(0.0);
      var dot_a3 = vec4<f32>(0.0);
      var dot_b0 = vec4<f32>(0.0);
      var dot_b1 = vec4<f32>(0.0);
      var dot_b2 = vec4<f32>(0.0);
      var dot_b3 = vec4<f32>(0.0);
      for (var quad = dot_quad; quad < QUADS * one; quad += LANES_PER_KEY) {
        let keys_0 = read_k(key_0 + quad);
        var keys_1 = keys_0;
        var keys_2 = keys_0;
        var keys_3 = keys_0;
        if (LANE_KEYS > 1u) { keys_1 = read_k(key_1 + quad); }
        if (LANE_KEYS > 2u) {
          keys_2 = read_k(key_2 + quad);
          keys_3 = read_k(key_3 + quad);
        }
        var at = 4u * quad;
        var q0 = queries[at];
        var q1 = queries[at + 1u];
        var q2 = queries[at + 2u];
        var q3 = queries[at + 3u];
        dot_a0 = product(keys_0, q0, q1, q2, q3, dot_a0);
        if (LANE_KEYS > 1u) { dot_a1 = product(keys_1, q0, q1, q2, q3, dot_a1); }
        if (LANE_KEYS > 2u) {
          dot_a2 = product(keys_2, q0, q1, q2, q3, dot_a2);
          dot_a3 = product(keys_3, q0, q1, q2, q3, dot_a3);
        }
        if (HEAD_QUADS > 1u) {
          at += SECOND * HEAD_DIM;
          q0 = queries[at];
          q1 = queries[at + 1u];
          q2 = queries[at + 2u];
          q3 = queries[at + 3u];
          dot_b0 = product(keys_0, q0, q1, q2, q3, dot_b0);
          if (LANE_KEYS > 1u) { dot_b1 = product(keys_1, q0, q1, q2, q3, dot_b1); }
          if (LANE_KEYS > 2u) {
            dot_b2 = product(keys_2, q0, q1, q2, q3, dot_b2);
            dot_b3 = product(keys_3, q0, q1, q2, q3, dot_b3);
          }
        }
      }
      // One round at a time through the same code.
      for (var i = 0u; i < LANE_KEYS * one; i++) {
        var dot_a = dot_a0;
        var dot_b = dot_b0;
        switch i {
          case 1u: { dot_a = dot_a1; dot_b = dot_b1; }
          case 2u: { dot_a = dot_a2; dot_b = dot_b2; }
          case 3u: { dot_a = dot_a3; dot_b = dot_b3; }
          default: {}
        }
        let at = key + i * ROUND;
        keep_scores(lane, first - tile + i * ROUND, dot_a, dot_b, at >= visible && at < tile_end, one);
      }
    }

    if (softmax_lane) {
      var lane_best = vec4<f32>(LOWEST);
      for (var key = tile + softmax_key; key < tile_end; key += PAGE_SIZE) {
        lane_best = max(lane_best, weights[softmax_quad * KEYS + key - tile]);
      }
      page_lanes[lane] = lane_best;
    }
    reduce_max(lane, one);
    let new_a = max(best_a, page_lanes[0]);
    let shrink_a = exp(best_a - new_a);
    best_a = new_a;
    var shrink_b = vec4<f32>(1.0);
    if (HEAD_QUADS > 1u) {
      let new_b = max(best_b, page_lanes[SECOND * PAGE_SIZE]);
      shrink_b = exp(best_b - new_b);
      best_b = new_b;
    }
    if (softmax_lane) {
      let best = select(best_b, best_a, softmax_quad == 0u);
      sum *= select(shrink_b, shrink_a, softmax_quad == 0u);
      for (var key = tile + softmax_key; key < tile_end; key += PAGE_SIZE) {
        let at = softmax_quad * KEYS + key - tile;
        let weight = select(vec4<f32>(0.0), exp(weights[at] - best), key >= visible);
        weights[at] = weight;
        sum += weight;
      }
    }
    workgroupBarrier();

    values_0 *= shrink_a.x;
    values_1 *= shrink_a.y;
    values_2 *= shrink_a.z;
    values_3 *= shrink_a.w;
    if (HEAD_QUADS > 1u) {
      values_4 *= shrink_b.x;
      values_5 *= shrink_b.y;
      values_6 *= shrink_b.z;
      values_7 *= shrink_b.w;
    }
    for (var page_start = tile; page_start < tile_end; page_start += PAGE_SIZE) {
      let page = (step_page(pages_offset, page_start) * NUM_KV_HEADS + kv_head) * PAGE_SIZE;
      let keys = select(0u, min(PAGE_SIZE, tile_end - page_start), slice < SLICES);
      for (var key = slice; key < keys; key += SLICES) {
        let value = read_v((page + key) * QUADS + value_quad);
        let at = page_start - tile + key;
        let a = weights[at];
        values_0 += a.x * value;
        values_1 += a.y * value;
        values_2 += a.z * value;
        values_3 += a.w * value;
        if (HEAD_QUADS > 1u) {
          let b = weights[SECOND * KEYS + at];
          values_4 += b.x * value;
          values_5 += b.y * value;
          values_6 += b.z * value;
          values_7 += b.w * value;
        }
      }
    }
    workgroupBarrier();
  }

  if (softmax_lane) { page_lanes[lane] = sum; }
  reduce_sum(lane, one);

  // One head at a time: its slices are added up in order.
  for (var head = 0u; head < heads; head++) {
    var values = values_0;
    switch head {
      case 1u: { values = values_1; }
      case 2u: { values = values_2; }
      case 3u: { values = values_3; }
      case 4u: { values = values_4; }
      case 5u: { values = values_5; }
      case 6u: { values = values_6; }
      case 7u: { values = values_7; }
      default: {}
    }
    lane_sums[lane] = values;
    workgroupBarrier();
    let at = ((row * NUM_HEADS + first_head + head) * SPLITS + group.x) * (QUADS + 1u);
    if (lane < QUADS) {
      var total = lane_sums[lane];
      for (var i = lane + QUADS; i < SLICES * QUADS; i += QUADS) { total += lane_sums[i]; }
      partials[at + lane] = total;
    }
    if (lane == 0u) {
      let best = select(best_b, best_a, head < 4u)[head % 4u];
      let total = page_lanes[head / 4u * PAGE_SIZE][head % 4u];
      partials[at + QUADS] = vec4<f32>(best, total, 0.0, 0.0);
    }
    workgroupBarrier();
  }
}
