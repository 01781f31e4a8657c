// The experts of each row: the TOP_K largest of its router logits, ties to the lowest index, and their weights.
// logits: [rows, LOGIT_COLS], experts in columns [0, EXPERTS). out: [rows, 2·TOP_K], indices, then weights. Workgroup (row).
// An expert's place is the number of those before it, so that no order of evaluation shows; sums go in a fixed order.

// #import "lib/order_key.wgsl"

const EXPERTS: u32 = 8u;
const TOP_K: u32 = 2u;
const SIGMOID: bool = false;
const NORMALISE: bool = true;
// Each expert's weight has a factor of its own.
const SCALED: bool = false;

override LOGIT_COLS: u32 = 8u;
override SCALE: f32 = 1.0;

const LANES = 64u;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> expert_scale: array<f32>;

var<workgroup> keys: array<u32, EXPERTS>;
var<workgroup> chosen: array<u32, TOP_K>;
var<workgroup> partial_sums: array<f32, LANES>;

// An expert's weight before normalisation; `best` is the row's largest logit.
fn score(logit: f32, best: f32) -> f32 {
  if (SIGMOID) { return 1.0 / (1.0 + exp(-max(logit, -80.0))); }
  return exp(logit - best);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  // 1, but compilers do not know: the loops stay loops.
  let one = min(count.x, 1u);
  let first = id.x * LOGIT_COLS;
  for (var e = lane; e < EXPERTS * one; e += LANES) { keys[e] = order_key(logits[first + e]); }
  workgroupBarrier();
  for (var e = lane; e < EXPERTS * one; e += LANES) {
    let key = keys[e];
    var place = 0u;
    for (var other = 0u; other < EXPERTS * one; other++) {
      if (keys[other] > key || (keys[other] == key && other < e)) { place++; }
    }
    if (place < TOP_K) { chosen[place] = e; }
  }
  workgroupBarrier();
  let best = logits[first + chosen[0]];
  if (!NORMALISE && !SIGMOID) {
    var sum = 0.0;
    for (var e = lane; e < EXPERTS * one; e += LANES) { sum += score(logits[first + e], best); }
    partial_sums[lane] = sum;
    workgroupBarrier();
  }
  if (lane >= TOP_K) { return; }
  var total = 1.0;
  if (NORMALISE) {
    total = 0.0;
    for (var slot = 0u; slot < TOP_K * one; slot++) { total += score(logits[first + chosen[slot]], best); }
  } else if (!SIGMOID) {
    total = 0.0;
    for (var part = 0u; part < LANES * one; part++) { total += partial_sums[part]; }
  }
  let expert = chosen[lane];
  let to = id.x * 2u * TOP_K + lane;
  out[to] = f32(expert);
  var weight = SCALE * score(logits[first + expert], best) / total;
  if (SCALED) { weight *= expert_scale[expert]; }
  out[to + TOP_K] = weight;
}
