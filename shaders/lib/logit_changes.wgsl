// Penalties and bias, on order keys. The including file declares the storage `counts` and `bias`, `keys` with the private `first_logit`, and
// VOCAB; it imports lib/sampling.wgsl. LANES comes from lib/radix_select.wgsl.

const OCCURRENCES = 0x7fffffffu;

fn penalises(segment: u32) -> bool {
  return setting_f32(segment, REPETITION_PENALTY) != 1.0 || setting_f32(segment, FREQUENCY_PENALTY) != 0.0
    || setting_f32(segment, PRESENCE_PENALTY) != 0.0;
}

// The key after repetition, frequency and presence penalty; `temperature` is what the logits are still to be divided by.
fn penalised_key(key: u32, token: u32, segment: u32, slot: u32, temperature: f32) -> u32 {
  if (!penalises(segment)) { return key; }
  let seen = counts[slot * VOCAB + token];
  if (seen == 0u || key <= KEY_NEGATIVE_INFINITY) { return key; }
  let repetition = setting_f32(segment, REPETITION_PENALTY);
  var x = key_value(key);
  if (repetition != 1.0) { x = select(x * repetition, x / repetition, x > 0.0); }
  let occurrences = seen & OCCURRENCES;
  if (occurrences > 0u) {
    x -= (setting_f32(segment, FREQUENCY_PENALTY) * f32(occurrences) + setting_f32(segment, PRESENCE_PENALTY)) * temperature;
  }
  return order_key(x);
}

// Adds to `keys`; no token is listed twice.
fn add_bias(lane: u32, segment: u32, slot: u32) {
  let first_bias = slot * MAX_LOGIT_BIAS * 2u;
  for (var i = lane; i < step_sampling(segment, BIAS_COUNT); i += LANES) {
    let token = bias[first_bias + 2u * i];
    if (token >= VOCAB) { continue; }
    let bits = bias[first_bias + 2u * i + 1u];
    let key = keys[first_logit + token];
    if (bits == NEGATIVE_INFINITY_BITS) {
      keys[first_logit + token] = KEY_NEGATIVE_INFINITY;
    } else if (key > KEY_NEGATIVE_INFINITY) {
      keys[first_logit + token] = order_key(key_value(key) + bitcast<f32>(bits));
    }
  }
}
