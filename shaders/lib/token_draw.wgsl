// Draws a token: inverse CDF in lane order, tokens 0, 256, 512 …, then 1, 257 …, so that every pass over the logits is coalesced. The
// including file defines key_at(t: u32, raw: bool) -> u32, and imports lib/step.wgsl, lib/sampling.wgsl, lib/radix_select.wgsl, lib/workgroup_scan.wgsl.

var<workgroup> drawn_first: atomic<u32>;
var<workgroup> drawn_last: atomic<u32>;
var<workgroup> drawn: Pick;
var<workgroup> drawn_token: u32;

struct Pick {
  lane: u32,
  // Weight that is still to be passed within the lane's share.
  rest: f32,
}

// The first lane whose inclusive sum passes the target; when rounding leaves none, the last one with any weight. Uniform.
fn pick(lane: u32, own: f32, through: f32, wanted: f32) -> Pick {
  if (lane == 0u) {
    atomicStore(&drawn_first, LANES);
    atomicStore(&drawn_last, 0u);
  }
  workgroupBarrier();
  if (own > 0.0) {
    atomicMax(&drawn_last, lane);
    if (through > wanted) { atomicMin(&drawn_first, lane); }
  }
  workgroupBarrier();
  let first = atomicLoad(&drawn_first);
  if (lane == select(atomicLoad(&drawn_last), first, first < LANES)) {
    drawn = Pick(lane, select(LARGEST, wanted - (through - own), first < LANES));
  }
  return workgroupUniformLoad(&drawn);
}

fn draw(lane: u32, raw: bool, best: u32, bound: Bound, scale: f32, uniform_draw: f32) -> u32 {
  let vocab = step_vocab();
  // First each lane has the column of tokens lane + LANES · i; then a contiguous share of the chosen column's i.
  let share = (vocab + LANES * LANES - 1u) / (LANES * LANES);
  var first = lane;
  var end = vocab;
  var chosen = Pick(0u, 0.0);
  for (var narrowing = 0u; narrowing < 2u; narrowing++) {
    var own = 0.0;
    for (var t = first; t < end; t += LANES) {
      let key = key_at(t, raw);
      if (in_bound(key, t, bound)) { own += relative_weight(key, best, scale); }
    }
    let through = workgroup_scan_f32(lane, own);
    let total = workgroup_scan_total();
    chosen = pick(lane, own, through, select(chosen.rest, uniform_draw * total, narrowing == 0u));
    if (narrowing == 0u) {
      first = chosen.lane + LANES * share * lane;
      end = min(vocab, first + LANES * share);
    }
  }

  if (lane == chosen.lane) {
    var passed = 0.0;
    for (var t = first; t < end; t += LANES) {
      let key = key_at(t, raw);
      if (!in_bound(key, t, bound)) { continue; }
      let weight = relative_weight(key, best, scale);
      if (weight > 0.0) {
        drawn_token = t;
        passed += weight;
        if (passed > chosen.rest) { break; }
      }
    }
  }
  return workgroupUniformLoad(&drawn_token);
}
