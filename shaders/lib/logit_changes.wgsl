// Penalties and bias, on order keys. The including file declares the storage `counts`, `past` and `bias`, `keys` with the private
// `first_logit`; it imports lib/step.wgsl, lib/sampling.wgsl and lib/past_tokens.wgsl. LANES comes from lib/radix_select.wgsl.

// What is known before the choice at a sampled row. In a step that verifies guesses the rows before have chosen the tokens of the rows behind
// them: if they have not, nobody looks at this one.
struct Before {
  segment: u32,
  slot: u32,
  guesses: u32,
  // Of the segment's first sampled row: the guesses are the tokens of the rows behind it.
  row: u32,
  position: u32,
  window: u32,
}

fn before_row(sampled_row: u32, segment: u32) -> Before {
  let own = step_segment(segment);
  let row = step_sampled_row(own.first_sampled_row);
  let window = step_sampling(segment, REPEAT_LAST_N);
  return Before(segment, own.slot, sampled_row - own.first_sampled_row, row, step_row_position(row), window);
}

// As the word of `counts`.
fn seen_before(token: u32, before: Before) -> u32 {
  let vocab = step_vocab();
  var seen = counts[before.slot * vocab + token];
  for (var i = 1u; i <= before.guesses; i++) {
    if (before.guesses - i < before.window && step_row_token(before.row + i) == token) { seen += 1u; }
  }
  if (before.window == NO_WINDOW) { return seen; }
  for (var i = 1u; i <= min(before.guesses, before.window); i++) {
    if (before.position + i < before.window) { continue; }
    let left = past[before.slot * step_context() + before.position + i - before.window];
    if ((left & PAST_TOKEN) != token) { continue; }
    if ((left & IN_OUTPUT) != 0u) {
      seen -= 1u;
    } else if ((left & LAST_IN_PROMPT) != 0u) {
      seen &= ~IN_PROMPT;
    }
  }
  return seen;
}

fn penalises(segment: u32) -> bool {
  return setting_f32(segment, REPETITION_PENALTY) != 1.0 || setting_f32(segment, FREQUENCY_PENALTY) != 0.0
    || setting_f32(segment, PRESENCE_PENALTY) != 0.0;
}

// The key after repetition, frequency and presence penalty; `temperature` is what the logits are still to be divided by.
fn penalised_key(key: u32, token: u32, before: Before, temperature: f32) -> u32 {
  let segment = before.segment;
  if (!penalises(segment)) { return key; }
  let seen = seen_before(token, before);
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
  let vocab = step_vocab();
  let first_bias = slot * MAX_LOGIT_BIAS * 2u;
  for (var i = lane; i < step_sampling(segment, BIAS_COUNT); i += LANES) {
    let token = bias[first_bias + 2u * i];
    if (token >= vocab) { continue; }
    let bits = bias[first_bias + 2u * i + 1u];
    let key = keys[first_logit + token];
    if (bits == NEGATIVE_INFINITY_BITS) {
      keys[first_logit + token] = KEY_NEGATIVE_INFINITY;
    } else if (key > KEY_NEGATIVE_INFINITY) {
      keys[first_logit + token] = order_key(key_value(key) + bitcast<f32>(bits));
    }
  }
}
