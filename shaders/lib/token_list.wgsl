// The best tokens of a row as a list, and how many of them mirostat 1 keeps. The including file defines key_at(t: u32, raw: bool) -> u32 and
// the private `sharpness`, one over the temperature so far; it imports lib/step.wgsl, lib/order_key.wgsl and lib/radix_select.wgsl.

// Tokens from which mirostat 1 estimates how fast probabilities fall.
const MIROSTAT_TOKENS = 100u;
const LN2 = 0.6931471805599453;

var<workgroup> listed: atomic<u32>;
var<workgroup> listed_keys: array<u32, MIROSTAT_TOKENS>;
var<workgroup> listed_tokens: array<u32, MIROSTAT_TOKENS>;
var<workgroup> sorted_keys: array<u32, MIROSTAT_TOKENS>;
var<workgroup> mirostat_count: u32;

// The tokens within the bound in descending order, lowest id first among equals: at most as many as the lists hold.
fn list_tokens(lane: u32, raw: bool, bound: Bound) {
  let vocab = step_vocab();
  if (lane == 0u) { atomicStore(&listed, 0u); }
  workgroupBarrier();
  for (var t = lane; t < vocab; t += LANES) {
    let key = key_at(t, raw);
    if (key > 0u && in_bound(key, t, bound)) {
      let i = atomicAdd(&listed, 1u);
      if (i < MIROSTAT_TOKENS) {
        listed_keys[i] = key;
        listed_tokens[i] = t;
      }
    }
  }
  workgroupBarrier();
}

// How many of the listed tokens are better than the i-th.
fn place_of(i: u32, count: u32) -> u32 {
  let key = listed_keys[i];
  let token = listed_tokens[i];
  var better = 0u;
  for (var j = 0u; j < count; j++) {
    if (listed_keys[j] > key || (listed_keys[j] == key && listed_tokens[j] < token)) { better++; }
  }
  return better;
}

// Basu et al. 2021, algorithm 1: how many tokens to keep, from the fall of the probabilities of the listed ones.
fn estimate_count(lane: u32, count: u32, limit: f32) {
  let vocab = step_vocab();
  if (lane < count) { sorted_keys[place_of(lane, count)] = listed_keys[lane]; }
  workgroupBarrier();
  if (lane == 0u) {
    mirostat_count = vocab;
    if (count >= 2u) {
      var products = 0.0;
      var squares = 0.0;
      for (var i = 0u; i + 1u < count; i++) {
        let rank = log(f32(i + 2u) / f32(i + 1u));
        products += rank * ((key_value(sorted_keys[i]) - key_value(sorted_keys[i + 1u])) * sharpness);
        squares += rank * rank;
      }
      let exponent = max(products / squares, 1e-6);
      var excess = exponent - 1.0;
      if (abs(excess) < 1e-6) { excess = 1e-6; }
      let size = log(f32(vocab));
      // excess / (1 - vocab^-excess); a power of less than 2 by a polynomial, which keeps what the difference would cancel.
      let power = excess * size;
      var share = excess / (1.0 - exp(-power));
      if (abs(power) < 0.05) { share = 1.0 / (size * (1.0 - power * (0.5 - power * (1.0 / 6.0 - power / 24.0)))); }
      let kept = (log(share) + limit * LN2) / exponent;
      mirostat_count = max(1u, u32(exp(clamp(kept, 0.0, size))));
    }
  }
  workgroupBarrier();
}
