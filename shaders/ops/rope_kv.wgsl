// Norm of Q and K where there is one, their rotary embedding (Su et al. 2021) and the cache write of K and V. qkv:
// [rows, (NUM_HEADS + 2·NUM_KV_HEADS)·HEAD_DIM], q: [rows, NUM_HEADS·HEAD_DIM], k and v: [page][KV head][PAGE_SIZE]
// [HEAD_DIM]. rope_table: see src/ops/rope_table.ts. A lane makes four neighbouring values of one head. Workgroup (64
// quads of a row, row), with NORM (head, row).

// #import "lib/step.wgsl"
// #import "lib/activation_f32.wgsl"
// #import "lib/rope.wgsl"
// #import "kv/write_f32.wgsl"

alias ActIn = f32;
alias ActOut = f32;

override NUM_HEADS: u32 = 1u;
override NUM_KV_HEADS: u32 = 1u;
// Which block table the cache is found by (lib/step.wgsl).
override KV_GROUP: u32 = 0u;
override HEAD_DIM: u32 = 4u;
override ROPE_DIMS: u32 = 4u;
override EPS: f32 = 1e-5;

const LANES = 64u;
// Rotates (i, i + ROPE_DIMS/2) instead of (2i, 2i + 1).
const HALF_PAIRING = false;
const ROTATE = true;
const NORM = false;
// Subtracts the mean.
const LAYER_NORM = false;
// The norm is of all heads of Q, and of all of K, at once.
const WHOLE_NORM = false;
// V heads are divided by their root mean square.
const NORM_VALUES = false;
// All heads of Q, and all of K, are scaled by the same HEAD_DIM weights.
const SHARED_WEIGHTS = false;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> qkv: array<ActIn>;
@group(0) @binding(2) var<storage, read> rope_table: array<vec2<f32>>;
// Weights of the norm: Q's, then K's.
@group(0) @binding(3) var<storage, read> norm_weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> q: array<vec4<ActOut>>;
@group(0) @binding(5) var<storage, read_write> k: array<KvWord>;
@group(0) @binding(6) var<storage, read_write> v: array<KvWord>;

var<workgroup> sums: array<f32, LANES>;

// Q and K before they rotate: (x - mean)·scale·weight.
struct HeadNorm {
  mean: f32,
  scale: f32,
  // Where in norm_weight the head's weights begin.
  weights: u32,
}

// Dimension `dim` of the head that starts at `head`, normalised.
fn normed(head: u32, dim: u32, norm: HeadNorm) -> f32 {
  let value = f32(qkv[head + dim]);
  if (!NORM) { return value; }
  return (value - norm.mean) * norm.scale * norm_weight[norm.weights + dim];
}

// Dimension `dim` of the head that starts at `head`, normalised and rotated to `position`.
fn rotated(head: u32, dim: u32, position: u32, norm: HeadNorm) -> f32 {
  let value = normed(head, dim, norm);
  if (!ROTATE || dim >= ROPE_DIMS) { return value; }
  let pairs = ROPE_DIMS / 2u;
  let pair = select(dim / 2u, dim % pairs, HALF_PAIRING);
  let second = select((dim & 1u) == 1u, dim >= pairs, HALF_PAIRING);
  let distance = select(1u, pairs, HALF_PAIRING);
  let partner = normed(head, select(dim + distance, dim - distance, second), norm);
  let angle = rope_angle(position, pair, pairs);
  return value * angle.x + select(-partner, partner, second) * angle.y;
}

// The sum of `value` over the workgroup, in a fixed order.
fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  sums[lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    if (lane < half) { sums[lane] += sums[lane + half]; }
    workgroupBarrier();
  }
  return sums[0];
}

// The norm of the head, by all lanes of the workgroup. `row_start`: where the row begins in qkv.
fn head_norm(row_start: u32, head: u32, lane: u32) -> HeadNorm {
  let of_k = head >= NUM_HEADS;
  let projection = select(0u, NUM_HEADS, of_k);
  let length = select(HEAD_DIM, HEAD_DIM * select(NUM_HEADS, NUM_KV_HEADS, of_k), WHOLE_NORM);
  let start = row_start + select(head, projection, WHOLE_NORM) * HEAD_DIM;
  var norm: HeadNorm;
  if (LAYER_NORM) {
    var sum = 0.0;
    for (var i = lane; i < length; i += LANES) { sum += f32(qkv[start + i]); }
    norm.mean = workgroup_sum(sum, lane) / f32(length);
  }
  var squares = 0.0;
  for (var i = lane; i < length; i += LANES) {
    let value = f32(qkv[start + i]) - norm.mean;
    squares += value * value;
  }
  norm.scale = 1.0 / sqrt(workgroup_sum(squares, lane) / f32(length) + EPS);
  norm.weights = select(head, select(0u, 1u, of_k), SHARED_WEIGHTS) * HEAD_DIM;
  return norm;
}

// Four values of a head, from 4·quad on, as they go to q or into the cache.
fn head_quad(row: u32, head: u32, quad: u32, norm: HeadNorm) -> vec4<f32> {
  let heads = NUM_HEADS + 2u * NUM_KV_HEADS;
  let start = (row * heads + head) * HEAD_DIM;
  let dim = 4u * quad;
  if (head >= NUM_HEADS + NUM_KV_HEADS) {
    let at = start + dim;
    let values = vec4<f32>(f32(qkv[at]), f32(qkv[at + 1u]), f32(qkv[at + 2u]), f32(qkv[at + 3u]));
    if (NORM_VALUES) { return values * norm.scale; }
    return values;
  }
  let position = step_row_position(row);
  return vec4<f32>(
    rotated(start, dim, position, norm),
    rotated(start, dim + 1u, position, norm),
    rotated(start, dim + 2u, position, norm),
    rotated(start, dim + 3u, position, norm),
  );
}

// The value of largest magnitude of a quad's block. Each lane of the block finds it anew: the lanes need not meet.
fn block_extreme(row: u32, head: u32, quad: u32, norm: HeadNorm) -> f32 {
  var extreme = 0.0;
  let first = quad / KV_BLOCK_QUADS * KV_BLOCK_QUADS;
  // A bound that compilers cannot know: unrolled, eight rotations take some of them seconds.
  for (var i = first; i < first + KV_BLOCK_QUADS * min(step_rows(), 1u); i++) {
    let values = head_quad(row, head, i, norm);
    let magnitudes = abs(values);
    let pair = select(values.xy, values.zw, magnitudes.zw > magnitudes.xy);
    let most = select(pair.x, pair.y, abs(pair.y) > abs(pair.x));
    extreme = select(extreme, most, abs(most) > abs(extreme));
  }
  return extreme;
}

// Four values of a head, from 4·quad on, to where they belong.
fn write_quad(row: u32, head: u32, quad: u32, norm: HeadNorm) {
  let quads = HEAD_DIM / 4u;
  if (head < NUM_HEADS) {
    q[(row * NUM_HEADS + head) * quads + quad] = kept_quad(head_quad(row, head, quad, norm));
    return;
  }
  if (quad % KV_WORD_QUADS != 0u) { return; }
  let values = head_quad(row, head, quad, norm);
  var next = values;
  if (KV_WORD_QUADS > 1u) { next = head_quad(row, head, quad + 1u, norm); }
  var extreme = 0.0;
  if (KV_BLOCK_QUADS > 1u) { extreme = block_extreme(row, head, quad, norm); }
  let position = step_row_position(row);
  let page = step_page(step_table(step_segment(step_row_segment(row)), KV_GROUP), position);
  let kv_head = (head - NUM_HEADS) % max(NUM_KV_HEADS, 1u);
  let to = ((page * NUM_KV_HEADS + kv_head) * PAGE_SIZE + position % PAGE_SIZE) * quads + quad;
  if (head < NUM_HEADS + NUM_KV_HEADS) {
    write_k(to, values, next, extreme);
  } else {
    write_v(to, values, next, extreme);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let quads = HEAD_DIM / 4u;
  let heads = NUM_HEADS + 2u * NUM_KV_HEADS;
  let row = group.y;
  if (NORM) {
    let head = group.x;
    var norm: HeadNorm;
    if (NORM_VALUES || head < NUM_HEADS + NUM_KV_HEADS) { norm = head_norm(row * heads * HEAD_DIM, head, lane); }
    for (var quad = lane; quad < quads; quad += LANES) { write_quad(row, head, quad, norm); }
  } else {
    let index = group.x * LANES + lane;
    if (index >= heads * quads) { return; }
    write_quad(row, index / quads, index % quads, HeadNorm());
  }
}
