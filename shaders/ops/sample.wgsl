// The general sampler: one workgroup chooses the token of one sampled row. Settings come from the row's segment in the step buffer.
// logits: [sampled rows, vocabulary]. keys: the same shape, order keys of the adjusted logits, written only when something adjusts them.
// Order: repetition, frequency and presence penalty, bias; top-k, top-p, min-p; temperature; one draw. docs/kernels/sampling.md
// has the definition, and src/ops/sample/reference.ts computes it in f64. Record layout: src/ops/sample/record.ts.
//
// No set is listed or sorted: top-k, top-p and min-p each leave a prefix of the tokens in descending order, which one bound describes.
// The draw is an inverse CDF in lane order: tokens 0, 256, 512 …, then 1, 257 …, so that every pass over the logits is coalesced.

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

alias Act = f32;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> logits: array<Act>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<u32>;
@group(0) @binding(4) var<storage, read> past: array<u32>;
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;
@group(0) @binding(6) var<storage, read_write> samples: array<u32>;

var<private> first_logit: u32;

var<workgroup> top_count: atomic<u32>;
var<workgroup> top_keys: array<u32, MAX_TOP_LOGPROBS>;
var<workgroup> top_tokens: array<u32, MAX_TOP_LOGPROBS>;

fn raw_key(token: u32) -> u32 { return order_key(f32(logits[first_logit + token])); }

fn key_at(token: u32, raw: bool) -> u32 {
  if (raw) { return raw_key(token); }
  return keys[first_logit + token];
}

// Writes the keys of the logits after penalties and bias.
fn adjust(lane: u32, before: Before) {
  let vocab = step_vocab();
  for (var t = lane; t < vocab; t += LANES) {
    keys[first_logit + t] = penalised_key(raw_key(t), t, before, 1.0);
  }
  storageBarrier();
  add_bias(lane, before.segment, before.slot);
  storageBarrier();
}

fn selection_mass(token: u32, key: u32, scale: Scale) -> f32 {
  return relative_weight(key, scale.best, 1.0) * scale.inverse_sum;
}

struct Statistics {
  best: u32,
  best_token: u32,
  // Σ exp(logit - best logit); 0 when every logit is -inf.
  sum: f32,
}

// One pass with a running maximum (Milakov & Gimelshein 2018). The result is uniform.
fn statistics(lane: u32, raw: bool, with_sum: bool) -> Statistics {
  let vocab = step_vocab();
  var best = 0u;
  var token = 0xffffffffu;
  var sum = 0.0;
  for (var t = lane; t < vocab; t += LANES) {
    let key = key_at(t, raw);
    if (with_sum) {
      if (key > best) {
        sum = sum * relative_weight(best, key, 1.0) + select(0.0, 1.0, key > KEY_NEGATIVE_INFINITY);
      } else {
        sum += relative_weight(key, best, 1.0);
      }
    }
    if (key > best) {
      best = key;
      token = t;
    }
  }
  let all = workgroup_best(lane, best, token);
  var total = 0.0;
  if (with_sum) {
    workgroup_scan_f32(lane, sum * relative_weight(best, all.x, 1.0));
    total = workgroup_scan_total();
  }
  return Statistics(all.x, all.y, total);
}

// What the workgroup searches for, in this order.
const SEARCH_TOP_K = 0u;
const SEARCH_TOP_P = 1u;
const SEARCH_TOP_LOGPROBS = 2u;
const SEARCHES = 3u;

fn later_bound(a: Bound, b: Bound) -> Bound {
  if (b.key > a.key || (b.key == a.key && b.rank > a.rank)) { return b; }
  return a;
}

// The mass at which top-p is reached. At least one unit: the best token is always kept.
fn nucleus_mass(top_p: f32, whole: Mass) -> Mass {
  let mass = mass_of(top_p * mass_value(whole));
  return Mass(mass.high, select(mass.low, 1u, mass.high == 0u && mass.low == 0u));
}

// The `wanted` tokens within the bound, in descending order of raw logits, lowest id first among equals.
fn write_top(lane: u32, at: u32, wanted: u32, bound: Bound, found: Statistics) {
  let vocab = step_vocab();
  if (lane == 0u) { atomicStore(&top_count, 0u); }
  workgroupBarrier();
  for (var t = lane; t < vocab; t += LANES) {
    let key = raw_key(t);
    if (in_bound(key, t, bound)) {
      let i = atomicAdd(&top_count, 1u);
      top_keys[i] = key;
      top_tokens[i] = t;
    }
  }
  workgroupBarrier();
  if (lane < wanted) {
    let key = top_keys[lane];
    let token = top_tokens[lane];
    var better = 0u;
    for (var i = 0u; i < wanted; i++) {
      if (top_keys[i] > key || (top_keys[i] == key && top_tokens[i] < token)) { better++; }
    }
    samples[at + 4u + 2u * better] = token;
    samples[at + 5u + 2u * better] = logprob_bits(key, found.best, found.sum);
  }
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let vocab = step_vocab();
  let sampled_row = group.x;
  let segment = step_sampled_segment(sampled_row);
  // ops/sample_chain.wgsl chooses those.
  if (step_sampling(segment, CHAINED) != 0u) { return; }
  first_logit = sampled_row * vocab;

  let temperature = setting_f32(segment, TEMPERATURE);
  let top_logprobs = step_sampling(segment, TOP_LOGPROBS);
  let wants_logprobs = top_logprobs != 0xffffffffu;
  let raw = !penalises(segment) && step_sampling(segment, BIAS_COUNT) == 0u;
  if (!raw) { adjust(lane, before_row(sampled_row, segment)); }

  let samples_token = temperature > 0.0;
  let top_k = step_sampling(segment, TOP_K);
  let top_p = setting_f32(segment, TOP_P);
  let by_mass = samples_token && top_p < 1.0;
  let wanted = select(0u, min(top_logprobs, min(MAX_TOP_LOGPROBS, vocab)), wants_logprobs);

  // `chosen_from` describes the distribution that is drawn from, `model` the raw one. A loop with one call of each, instead of calls
  // in a row: compilers inline them all, and they are most of the code.
  var chosen_from = Statistics(0u, 0u, 0.0);
  var model = chosen_from;
  var kept = Bound(0u, 0u);
  var kept_mass = Mass(1u << 31u, 0u);
  var top = Bound(0u, 0u);
  for (var search = 0u; search < SEARCHES; search++) {
    let for_model = search == SEARCH_TOP_LOGPROBS;
    if (search == SEARCH_TOP_K || (for_model && wants_logprobs && !raw)) {
      model = statistics(lane, raw || for_model, by_mass || for_model || (raw && wants_logprobs));
      if (!for_model) { chosen_from = model; }
    }
    var goal = Goal(false, top_k, Mass(0u, 0u), by_mass, raw);
    var needed = samples_token && top_k > 0u && top_k < vocab;
    if (search == SEARCH_TOP_P) {
      goal = Goal(true, 0u, nucleus_mass(top_p, kept_mass), true, raw);
      needed = by_mass;
    } else if (for_model) {
      goal = Goal(false, wanted, Mass(0u, 0u), false, true);
      needed = wanted > 0u && wanted < vocab;
    }
    if (!needed) { continue; }
    let selected = radix_select(lane, goal, Scale(model.best, 1.0 / max(model.sum, 1.0)));
    if (for_model) {
      top = selected.bound;
    } else {
      kept = later_bound(kept, selected.bound);
      kept_mass = selected.mass;
    }
  }

  var token = chosen_from.best_token;
  if (samples_token && chosen_from.best > KEY_NEGATIVE_INFINITY) {
    let min_p = setting_f32(segment, MIN_P);
    if (min_p > 0.0) {
      let least = min(order_key(key_value(chosen_from.best) + log(min_p)), chosen_from.best);
      if (least > kept.key) { kept = Bound(least, 0u); }
    }
    let uniform_draw = drawn_at(segment, step_sampled_row(sampled_row), TOKEN_STREAM);
    token = draw(lane, raw, chosen_from.best, kept, 1.0 / max(temperature, MIN_TEMPERATURE), uniform_draw);
  }

  let at = sampled_row * SAMPLE_WORDS;
  if (wanted > 0u) { write_top(lane, at, wanted, top, model); }
  if (lane == 0u) {
    samples[at] = token;
    samples[at + 1u] = NO_LOGPROB;
    if (wants_logprobs) { samples[at + 1u] = logprob_bits(raw_key(token), model.best, model.sum); }
    let guessed = step_is_guessed(step_sampled_row(sampled_row), step_segment(segment), token);
    samples[at + 2u] = wanted | select(0u, ACCEPTED, guessed) | select(NO_CHANCE, 0u, chosen_from.best > KEY_NEGATIVE_INFINITY);
    samples[at + 3u] = 0u;
  }
}
