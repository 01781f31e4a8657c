// The sampler chain: one workgroup chooses the token of one sampled row whose settings ask for more than ops/sample.wgsl has; it leaves the
// other rows alone. The stages come from the step buffer (CHAIN_CODES in src/ops/sample/record.ts), any of them in any order. Each works on
// what the ones before it left: `keys` holds the order keys of the logits, that of -inf for what was dropped. The temperature stays a
// number beside them, so that dividing costs no precision. docs/kernels/sampling.md has the definition, src/ops/sample/chain.ts computes it in f64.
//
// logits: [sampled rows, vocabulary]. keys: the same shape. Record layout: src/ops/sample/record.ts.

// #import "lib/step.wgsl"
// #import "lib/rng.wgsl"
// #import "lib/order_key.wgsl"
// #import "lib/sampling.wgsl"
// #import "lib/past_tokens.wgsl"
// #import "lib/logit_changes.wgsl"
// #import "lib/token_draw.wgsl"
// #import "lib/workgroup_best.wgsl"
// #import "lib/workgroup_scan.wgsl"
// #import "lib/radix_select.wgsl"
// #import "lib/token_list.wgsl"
// #import "lib/judge_guess.wgsl"

alias Act = f32;

// Stages.
const PENALTIES = 1u;
const DRY = 2u;
const SIGMA = 3u;
const FIRST_K = 4u;
const TYPICAL = 5u;
const NUCLEUS = 6u;
const RELATIVE = 7u;
const EXCLUDE_TOP = 8u;
const SET_TEMPERATURE = 9u;
const BIAS = 10u;
const MIROSTAT_ESTIMATE = 11u;
const MIROSTAT_FIRST_K = 12u;
const MIROSTAT_LIMIT = 13u;
// After the last stage.
const PROPOSAL = 14u;
const DRAW = 15u;
const LOGPROBS = 16u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<Act>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<u32>;
@group(0) @binding(4) var<storage, read> past: array<u32>;
@group(0) @binding(5) var<storage, read> mu: array<f32>;
@group(0) @binding(6) var<storage, read_write> keys: array<u32>;
@group(0) @binding(7) var<storage, read_write> samples: array<u32>;

var<private> first_logit: u32;
// Typical: tokens are ordered by how near their logit is to this one.
var<private> by_distance: bool;
var<private> typical_logit: f32;
// One over the temperature so far.
var<private> sharpness: f32;

fn raw_key(token: u32) -> u32 { return order_key(f32(logits[first_logit + token])); }

fn key_at(token: u32, raw: bool) -> u32 {
  if (raw) { return raw_key(token); }
  let key = keys[first_logit + token];
  if (by_distance && key > KEY_NEGATIVE_INFINITY) { return order_key(-abs(key_value(key) - typical_logit)); }
  return key;
}

fn selection_mass(token: u32, key: u32, scale: Scale) -> f32 {
  var logit = key;
  if (by_distance) { logit = keys[first_logit + token]; }
  return relative_weight(logit, scale.best, sharpness) * scale.inverse_sum;
}

struct Moments {
  best: u32,
  best_token: u32,
  // Σ exp(d · sharpness) with d = logit - best logit, over what is left.
  sum: f32,
  // Σ exp(d · sharpness) · d · sharpness
  weighted: f32,
  count: f32,
  // Of the logits themselves.
  deviation: f32,
}

fn distance_to(key: u32, best: u32) -> f32 { return 2.0 * max(0.5 * key_value(key) - 0.5 * key_value(best), -1e15); }

// Two passes over what is left, three with the deviation; sums in a fixed order. The result is uniform.
fn moments(lane: u32, raw: bool, scale: f32, with_deviation: bool) -> Moments {
  let vocab = step_vocab();
  var best = 0u;
  var token = 0xffffffffu;
  for (var t = lane; t < vocab; t += LANES) {
    let key = key_at(t, raw);
    if (key > best) {
      best = key;
      token = t;
    }
  }
  let all = workgroup_best(lane, best, token);
  // weight, weight · d, tokens, d, (d - mean)²
  var own = array<f32, 5>(0.0, 0.0, 0.0, 0.0, 0.0);
  var totals = array<f32, 5>(0.0, 0.0, 0.0, 0.0, 0.0);
  for (var t = lane; t < vocab; t += LANES) {
    let key = key_at(t, raw);
    if (key <= KEY_NEGATIVE_INFINITY) { continue; }
    let d = distance_to(key, all.x);
    let weight = relative_weight(key, all.x, scale);
    own[0] += weight;
    if (weight > 0.0) { own[1] += weight * (d * scale); }
    own[2] += 1.0;
    own[3] += d;
  }
  for (var quantity = 0u; quantity < select(3u, 5u, with_deviation); quantity++) {
    if (quantity == 4u) {
      let mean = totals[3] / max(totals[2], 1.0);
      for (var t = lane; t < vocab; t += LANES) {
        let key = key_at(t, raw);
        if (key <= KEY_NEGATIVE_INFINITY) { continue; }
        let d = distance_to(key, all.x) - mean;
        own[4] += d * d;
      }
    }
    workgroup_scan_f32(lane, own[quantity]);
    totals[quantity] = workgroup_scan_total();
  }
  return Moments(all.x, all.y, totals[0], totals[1], totals[2], sqrt(totals[4] / max(totals[2], 1.0)));
}

// A mass of at least one unit: the best token is always kept.
fn part_of_all(p: f32) -> Mass {
  let mass = mass_of(p);
  return Mass(mass.high, select(mass.low, 1u, mass.high == 0u && mass.low == 0u));
}

fn lower_by_dry(lane: u32, before: Before, temperature: f32) {
  let vocab = step_vocab();
  let table = step_sampling(before.segment, DRY_OFFSET);
  if (table == 0u) { return; }
  let first = step_data[table + 2u * before.guesses];
  let count = step_data[table + 2u * before.guesses + 1u];
  for (var i = lane; i < count; i += LANES) {
    let token = step_data[first + 2u * i];
    if (token >= vocab) { continue; }
    let key = keys[first_logit + token];
    if (key > KEY_NEGATIVE_INFINITY) {
      keys[first_logit + token] = order_key(key_value(key) - bitcast<f32>(step_data[first + 2u * i + 1u]) * temperature);
    }
  }
}

// The temperature that the settings make of the entropy, in the share of its maximum.
fn next_temperature(segment: u32, now: Moments) -> f32 {
  let middle = setting_f32(segment, TEMPERATURE);
  let range = setting_f32(segment, DYNATEMP_RANGE);
  if (range == 0.0) { return middle; }
  if (now.count <= 1.0) { return 1.0; }
  let low = max(0.0, middle - range);
  let flatness = clamp((log(now.sum) - now.weighted / now.sum) / log(now.count), 0.0, 1.0);
  let exponent = setting_f32(segment, DYNATEMP_EXPONENT);
  var part = 1.0;
  if (exponent > 0.0) { part = select(0.0, pow(flatness, exponent), flatness > 0.0); }
  return low + (middle + range - low) * part;
}

// The last in the order of the tokens whose key is at least `least`: all of them but this one are top choices.
fn last_above(lane: u32, least: u32) -> u32 {
  let vocab = step_vocab();
  var key = 0u;
  var rank = 0xffffffffu;
  for (var t = lane; t < vocab; t += LANES) {
    let own = keys[first_logit + t];
    // The key turned round, so that the largest is the worst; of equals the largest id.
    if (own >= least && ~own >= key) {
      key = ~own;
      rank = rank_of(t);
    }
  }
  let found = workgroup_best(lane, key, rank);
  return MAX_RANK - found.y;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let vocab = step_vocab();
  let sampled_row = group.x;
  let segment = step_sampled_segment(sampled_row);
  if (step_sampling(segment, CHAINED) == 0u) { return; }
  first_logit = sampled_row * vocab;
  by_distance = false;
  sharpness = 1.0;
  let row = step_sampled_row(sampled_row);
  let before = before_row(sampled_row, segment);
  let stages = step_sampling(segment, STAGES);
  let top_logprobs = step_sampling(segment, TOP_LOGPROBS);
  let wants_logprobs = top_logprobs != 0xffffffffu;
  let wanted = select(0u, min(top_logprobs, min(MAX_TOP_LOGPROBS, vocab)), wants_logprobs);
  let proposes = step_sampling(segment, PROPOSES) != 0u;
  let limit = mu[before.slot];
  let xtc_applies = drawn_at(segment, row, XTC_STREAM) < setting_f32(segment, XTC_PROBABILITY);

  for (var t = lane; t < vocab; t += LANES) { keys[first_logit + t] = raw_key(t); }
  storageBarrier();

  var temperature = 1.0;
  var final_moments = Moments(0u, 0u, 0.0, 0.0, 0.0, 0.0);
  var model = final_moments;
  var top = Bound(0u, 0u);
  // One loop with one call of each search, instead of calls in a row: compilers inline them all, and they are most of the code.
  for (var i = 0u; i < stages + 3u; i++) {
    var stage = PROPOSAL + i - stages;
    if (i < stages) { stage = (step_sampling(segment, STAGE_CODES + i / 8u) >> (4u * (i % 8u))) & 15u; }
    if (stage == PENALTIES || stage == DRY || stage == BIAS) {
      if (stage == PENALTIES) {
        for (var t = lane; t < vocab; t += LANES) {
          keys[first_logit + t] = penalised_key(keys[first_logit + t], t, before, temperature);
        }
      } else if (stage == DRY) {
        lower_by_dry(lane, before, temperature);
      } else {
        add_bias(lane, segment, before.slot);
      }
      storageBarrier();
      continue;
    }
    let raw = stage == LOGPROBS;
    if ((raw && !wants_logprobs) || (stage == PROPOSAL && !proposes)) { continue; }
    by_distance = false;
    sharpness = select(1.0 / temperature, 1.0, raw);
    let now = moments(lane, raw, select(1.0 / temperature, 1.0, raw), stage == SIGMA);
    if (stage == DRAW) { final_moments = now; }
    if (raw) { model = now; }
    if (stage == DRAW || (!raw && now.best <= KEY_NEGATIVE_INFINITY)) { continue; }

    // What is kept: everything from `kept` on in the order of the keys, at first of the logits.
    var kept = Bound(0u, 0u);
    var least = -LARGEST;
    var searches = false;
    var goal = Goal(false, 0u, Mass(0u, 0u), false, raw);
    let best = key_value(now.best);
    switch (stage) {
      case SIGMA: { least = best - setting_f32(segment, TOP_N_SIGMA) * now.deviation; }
      case RELATIVE: { least = best + temperature * log(setting_f32(segment, MIN_P)); }
      case EXCLUDE_TOP: { least = best + temperature * log(setting_f32(segment, XTC_THRESHOLD) * now.sum); }
      case MIROSTAT_LIMIT: { least = best + temperature * (log(now.sum) - limit * LN2); }
      case FIRST_K: { goal.count = step_sampling(segment, TOP_K); }
      case MIROSTAT_FIRST_K: { goal.count = workgroupUniformLoad(&mirostat_count); }
      case MIROSTAT_ESTIMATE: { goal.count = MIROSTAT_TOKENS; }
      case LOGPROBS: { goal.count = wanted; }
      case PROPOSAL: { goal.count = MAX_TOP_LOGPROBS; }
      case TYPICAL: {
        by_distance = true;
        typical_logit = best + temperature * (now.weighted / now.sum);
        goal = Goal(true, 0u, part_of_all(setting_f32(segment, TYPICAL_P)), true, false);
        searches = true;
      }
      case NUCLEUS: {
        goal = Goal(true, 0u, part_of_all(setting_f32(segment, TOP_P)), true, false);
        searches = true;
      }
      case SET_TEMPERATURE: {
        if (setting_f32(segment, TEMPERATURE) == 0.0) {
          kept = Bound(now.best, rank_of(now.best_token));
        } else {
          temperature = max(temperature * next_temperature(segment, now), MIN_TEMPERATURE);
          continue;
        }
      }
      default: {}
    }
    if (goal.count > 0u && goal.count < select(u32(now.count), vocab, raw)) { searches = true; }
    if (searches) { kept = radix_select(lane, goal, Scale(now.best, 1.0 / max(now.sum, 1.0))).bound; }
    if (raw) {
      top = kept;
      continue;
    }
    if (least > -LARGEST) { kept = Bound(min(order_key(least), select(now.best, 0xffffffffu, stage == EXCLUDE_TOP)), 0u); }
    if (stage == MIROSTAT_ESTIMATE) {
      if (kept.key <= KEY_NEGATIVE_INFINITY) { kept = Bound(KEY_NEGATIVE_INFINITY + 1u, 0u); }
      list_tokens(lane, false, kept);
      estimate_count(lane, u32(min(now.count, f32(MIROSTAT_TOKENS))), limit);
      continue;
    }
    var spared = 0xffffffffu;
    if (stage == EXCLUDE_TOP) {
      if (!xtc_applies) { continue; }
      spared = last_above(lane, kept.key);
    }
    for (var t = lane; t < vocab; t += LANES) {
      let keeps = in_bound(key_at(t, false), t, kept);
      if (select(!keeps, keeps && t != spared, stage == EXCLUDE_TOP)) { keys[first_logit + t] = KEY_NEGATIVE_INFINITY; }
    }
    storageBarrier();
  }

  by_distance = false;
  let scale = 1.0 / temperature;
  var token = final_moments.best_token;
  var learned = limit;
  if (final_moments.best > KEY_NEGATIVE_INFINITY) {
    let shares = Shares(final_moments.best, scale, 1.0 / final_moments.sum);
    let verdict = judge_guess(lane, row, before, shares);
    if (verdict == UNDECIDED) {
      let uniform_draw = drawn_at(segment, row, select(TOKEN_STREAM, PROPOSAL_STREAM, proposes));
      // Where rounding has left nothing to draw from.
      if (lane == 0u) { drawn_token = final_moments.best_token; }
      token = draw(lane, false, final_moments.best, Bound(0u, 0u), scale, uniform_draw);
    } else {
      token = verdict;
    }
    let d = distance_to(keys[first_logit + token], final_moments.best) * scale;
    let surprise = (log(final_moments.sum) - d) / LN2;
    learned = limit - setting_f32(segment, MIROSTAT_ETA) * (surprise - setting_f32(segment, MIROSTAT_TAU));
  }

  let at = sampled_row * SAMPLE_WORDS;
  // Of a guess all that it could have been, with probabilities.
  let entries = select(wanted, min(u32(final_moments.count), MAX_TOP_LOGPROBS), proposes);
  if (entries > 0u) {
    if (proposes) { top = Bound(KEY_NEGATIVE_INFINITY + 1u, 0u); }
    list_tokens(lane, !proposes, top);
    if (lane < entries) {
      let place = place_of(lane, entries);
      samples[at + 4u + 2u * place] = listed_tokens[lane];
      var bits = 0u;
      if (proposes) {
        bits = bitcast<u32>(relative_weight(listed_keys[lane], final_moments.best, scale) / final_moments.sum);
      } else {
        bits = logprob_bits(listed_keys[lane], model.best, model.sum);
      }
      samples[at + 5u + 2u * place] = bits;
    }
  }
  if (lane == 0u) {
    samples[at] = token;
    samples[at + 1u] = NO_LOGPROB;
    if (wants_logprobs) { samples[at + 1u] = logprob_bits(raw_key(token), model.best, model.sum); }
    let guessed = step_is_guessed(row, step_segment(segment), token);
    samples[at + 2u] = entries | select(0u, ACCEPTED, guessed) | select(NO_CHANCE, 0u, final_moments.best > KEY_NEGATIVE_INFINITY);
    var bits = 0u;
    if (step_sampling(segment, MIROSTAT) != 0u) {
      bits = bitcast<u32>(learned);
      if (bits == 0u) { bits = 0x80000000u; }
    }
    samples[at + 3u] = bits;
  }
}
