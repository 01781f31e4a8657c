// Rotary embedding of Q and K (Su et al. 2021) and the cache write of K and V. qkv: [rows, (NUM_HEADS +
// 2·NUM_KV_HEADS)·HEAD_DIM], q: [rows, NUM_HEADS·HEAD_DIM], k and v: [page][KV head][PAGE_SIZE][HEAD_DIM]. rope_table:
// see src/ops/rope_table.ts. A lane makes four neighbouring values of one head. Workgroup (64 quads of a row, row).

// #import "lib/step.wgsl"
// #import "lib/rope.wgsl"
// #import "kv/f32.wgsl"

alias ActIn = f32;
alias ActOut = f32;

override NUM_HEADS: u32 = 1u;
override NUM_KV_HEADS: u32 = 1u;
override HEAD_DIM: u32 = 4u;
override ROPE_DIMS: u32 = 4u;

const LANES = 64u;
// Rotates (i, i + ROPE_DIMS/2) instead of (2i, 2i + 1).
const HALF_PAIRING = false;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> qkv: array<ActIn>;
@group(0) @binding(2) var<storage, read> rope_table: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read_write> q: array<vec4<ActOut>>;
@group(0) @binding(4) var<storage, read_write> k: array<KvQuad>;
@group(0) @binding(5) var<storage, read_write> v: array<KvQuad>;

// Dimension `dim` of the head that starts at `head`, rotated to `position`.
fn rotated(head: u32, dim: u32, position: u32) -> f32 {
  let value = f32(qkv[head + dim]);
  if (dim >= ROPE_DIMS) { return value; }
  let pairs = ROPE_DIMS / 2u;
  let pair = select(dim / 2u, dim % pairs, HALF_PAIRING);
  let second = select((dim & 1u) == 1u, dim >= pairs, HALF_PAIRING);
  let distance = select(1u, pairs, HALF_PAIRING);
  let partner = f32(qkv[head + select(dim + distance, dim - distance, second)]);
  let angle = rope_angle(position, pair, pairs);
  return value * angle.x + select(-partner, partner, second) * angle.y;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let quads = HEAD_DIM / 4u;
  let heads = NUM_HEADS + 2u * NUM_KV_HEADS;
  let index = group.x * LANES + lane;
  if (index >= heads * quads) { return; }
  let row = group.y;
  let head = index / quads;
  let quad = index % quads;
  let start = (row * heads + head) * HEAD_DIM;
  let dim = 4u * quad;
  let position = step_row_position(row);

  var values: vec4<f32>;
  if (head < NUM_HEADS + NUM_KV_HEADS) {
    values = vec4<f32>(
      rotated(start, dim, position),
      rotated(start, dim + 1u, position),
      rotated(start, dim + 2u, position),
      rotated(start, dim + 3u, position),
    );
  } else {
    let at = start + dim;
    values = vec4<f32>(f32(qkv[at]), f32(qkv[at + 1u]), f32(qkv[at + 2u]), f32(qkv[at + 3u]));
  }
  if (head < NUM_HEADS) {
    q[(row * NUM_HEADS + head) * quads + quad] = vec4<ActOut>(values);
    return;
  }
  let page = step_page(step_segment(step_row_segment(row)).pages_offset, position);
  let kv_head = (head - NUM_HEADS) % NUM_KV_HEADS;
  let to = ((page * NUM_KV_HEADS + kv_head) * PAGE_SIZE + position % PAGE_SIZE) * quads + quad;
  if (head < NUM_HEADS + NUM_KV_HEADS) {
    k[to] = kv_pack(values);
  } else {
    v[to] = kv_pack(values);
  }
}
