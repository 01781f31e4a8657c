// Whether a guess stands. The including file declares the storage `keys` with the private `first_logit`; it imports lib/sampling.wgsl and
// lib/logit_changes.wgsl. LANES comes from lib/radix_select.wgsl.

const UNDECIDED = 0xffffffffu;
// Within rounding of one distribution: nothing is left to draw from after a rejection.
const SAME_DISTRIBUTION = 1.0 - 1e-6;

var<workgroup> verdict_token: u32;

// What keys are worth: exp(scale · (logit - best)) · inverse_sum is a probability.
struct Shares {
  best: u32,
  scale: f32,
  inverse_sum: f32,
}

fn share_of(token: u32, shares: Shares) -> f32 {
  return relative_weight(keys[first_logit + token], shares.best, shares.scale) * shares.inverse_sum;
}

// Rejection sampling (Leviathan et al. 2023) of the token of the row behind, where it comes with what it was drawn from, q: the guess when it
// stands, which it does with probability min(1, p / q). Otherwise UNDECIDED, and `keys` hold what is left of p without q. Uniform.
fn judge_guess(lane: u32, row: u32, before: Before, shares: Shares) -> u32 {
  let table = step_sampling(before.segment, PROPOSALS_OFFSET);
  if (table == 0u) { return UNDECIDED; }
  let first = step_data[table + 2u * before.guesses];
  let count = step_data[table + 2u * before.guesses + 1u];
  if (count == 0u) { return UNDECIDED; }
  if (lane == 0u) {
    let guess = step_row_token(row + 1u);
    var p = 0.0;
    var q = 0.0;
    var overlap = 0.0;
    for (var i = 0u; i < count; i++) {
      let token = step_data[first + 2u * i];
      let proposed = bitcast<f32>(step_data[first + 2u * i + 1u]);
      let share = share_of(token, shares);
      overlap += min(share, proposed);
      if (token == guess) {
        p = share;
        q = proposed;
      }
    }
    let stands = p > 0.0 && (drawn_at(before.segment, row, ACCEPT_STREAM) * q < p || overlap >= SAME_DISTRIBUTION);
    verdict_token = select(UNDECIDED, guess, stands);
  }
  let verdict = workgroupUniformLoad(&verdict_token);
  if (verdict == UNDECIDED) {
    for (var i = lane; i < count; i += LANES) {
      let token = step_data[first + 2u * i];
      let rest = share_of(token, shares) - bitcast<f32>(step_data[first + 2u * i + 1u]);
      var key = KEY_NEGATIVE_INFINITY;
      if (rest > 0.0) { key = order_key(key_value(shares.best) + log(rest / shares.inverse_sum) / shares.scale); }
      keys[first_logit + token] = key;
    }
    storageBarrier();
  }
  return verdict;
}
