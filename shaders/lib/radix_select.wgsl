// Finds how far a descending list reaches without sorting it: the bound of the smallest set of best tokens that has a wanted count or
// a wanted probability mass. Tokens are ordered by (order key, then lowest id), a total order, so every such set is
// { t : (key, rank) ≥ bound } with rank = MAX_RANK - t. A most-significant-digit radix search over the 56 bits of (key, rank): each
// level histograms the tokens that still match the bound's digits and descends into the bin where the goal is crossed. It ends as soon
// as a bin is taken whole, for logits without ties after at most the key's four levels.
//
// Mass is a fixed-point integer, so that its sums are exact and do not depend on the order of the atomics: with probabilities
// normalised to a total of 1, `high` counts 2^-31 and `low` 2^-43.
//
// The including file defines key_at(t: u32, raw: bool) -> u32, selection_mass(t: u32, key: u32, scale: Scale) -> f32 (a token's share of the
// total of 1); it imports lib/step.wgsl.

const LANES = 256u;
const BINS = 256u;
// Lanes spread over copies of the histogram: logits share few leading digits.
const HISTOGRAM_COPIES = 2u;
const KEY_LEVELS = 4u;
const LEVELS = 7u;
const MAX_RANK = 0xffffffu;
const MASS_LOW_BITS = 12u;
const NO_BIN = 0xffffffffu;

struct Bound {
  key: u32,
  rank: u32,
}

struct Mass {
  high: u32,
  low: u32,
}

struct Goal {
  by_mass: bool,
  count: u32,
  mass: Mass,
  // Sum up mass: needed by a mass goal, or when the caller wants the mass of the set found.
  with_mass: bool,
  // Search raw logits rather than adjusted ones.
  raw: bool,
}

// The distribution of a row: its best key and one over the sum of weights relative to it.
struct Scale {
  best: u32,
  inverse_sum: f32,
}

struct Crossing {
  bin: u32,
  // The bin is in the set as a whole.
  complete: bool,
  // Of the tokens in the set so far.
  count: u32,
  mass: Mass,
}

struct Selected {
  bound: Bound,
  mass: Mass,
}

var<workgroup> bin_counts: array<atomic<u32>, BINS * HISTOGRAM_COPIES>;
var<workgroup> bin_high: array<atomic<u32>, BINS * HISTOGRAM_COPIES>;
var<workgroup> bin_low: array<atomic<u32>, BINS * HISTOGRAM_COPIES>;
var<workgroup> crossing: Crossing;

fn rank_of(token: u32) -> u32 { return MAX_RANK - token; }

fn in_bound(key: u32, token: u32, bound: Bound) -> bool {
  return key > bound.key || (key == bound.key && rank_of(token) >= bound.rank);
}

fn mass_of(probability: f32) -> Mass {
  let scaled = probability * 0x1p31f;
  let high = u32(scaled);
  return Mass(high, u32((scaled - f32(high)) * f32(1u << MASS_LOW_BITS)));
}

fn mass_value(mass: Mass) -> f32 { return f32(mass.high) * 0x1p-31f + f32(mass.low) * 0x1p-43f; }

fn add_mass(a: Mass, b: Mass) -> Mass {
  let low = a.low + b.low;
  return Mass(a.high + b.high + (low >> MASS_LOW_BITS), low & ((1u << MASS_LOW_BITS) - 1u));
}

fn reaches(goal: Goal, count: u32, mass: Mass) -> bool {
  if (goal.by_mass) { return mass.high > goal.mass.high || (mass.high == goal.mass.high && mass.low >= goal.mass.low); }
  return count >= goal.count;
}

// Bits of a level's digit below its top: 24, 16, 8, 0 in the key, then 16, 8, 0 in the rank.
fn digit_shift(level: u32) -> u32 { return select((LEVELS - 1u - level) * 8u, (KEY_LEVELS - 1u - level) * 8u, level < KEY_LEVELS); }

fn digit_of(key: u32, rank: u32, level: u32) -> u32 {
  return (select(rank, key, level < KEY_LEVELS) >> digit_shift(level)) & (BINS - 1u);
}

// True when the digits above `level` are those of the bound.
fn matches(key: u32, rank: u32, bound: Bound, level: u32) -> bool {
  if (level == 0u) { return true; }
  if (level < KEY_LEVELS) { return ((key ^ bound.key) >> (digit_shift(level) + 8u)) == 0u; }
  return key == bound.key && ((rank ^ bound.rank) >> (digit_shift(level) + 8u)) == 0u;
}

fn fill_histogram(lane: u32, goal: Goal, scale: Scale, bound: Bound, level: u32) {
  let vocab = step_vocab();
  for (var i = lane; i < BINS * HISTOGRAM_COPIES; i += LANES) {
    atomicStore(&bin_counts[i], 0u);
    atomicStore(&bin_high[i], 0u);
    atomicStore(&bin_low[i], 0u);
  }
  workgroupBarrier();
  let copy = (lane % HISTOGRAM_COPIES) * BINS;
  for (var t = lane; t < vocab; t += LANES) {
    let key = key_at(t, goal.raw);
    let rank = rank_of(t);
    if (matches(key, rank, bound, level)) {
      let bin = copy + digit_of(key, rank, level);
      atomicAdd(&bin_counts[bin], 1u);
      if (goal.with_mass) {
        let mass = mass_of(selection_mass(t, key, scale));
        atomicAdd(&bin_high[bin], mass.high);
        atomicAdd(&bin_low[bin], mass.low);
      }
    }
  }
  workgroupBarrier();
}

// The result is uniform. A mass goal that rounding puts out of reach selects every token.
fn radix_select(lane: u32, goal: Goal, scale: Scale) -> Selected {
  var bound = Bound(0u, 0u);
  var count = 0u;
  var mass = Mass(0u, 0u);
  for (var level = 0u; level < LEVELS; level++) {
    fill_histogram(lane, goal, scale, bound, level);
    // Lane 0 takes the largest digit: prefix sums run from the best token down.
    let bin = BINS - 1u - lane;
    var own_count = 0u;
    var own_mass = Mass(0u, 0u);
    for (var copy = 0u; copy < HISTOGRAM_COPIES; copy++) {
      let at = copy * BINS + bin;
      own_count += atomicLoad(&bin_counts[at]);
      own_mass = add_mass(own_mass, Mass(atomicLoad(&bin_high[at]), atomicLoad(&bin_low[at])));
    }
    let own = vec3<u32>(own_count, own_mass.high, own_mass.low);
    let through = workgroup_scan_u32(lane, own);
    let before = through - own;
    let mass_before = add_mass(mass, Mass(before.y, before.z));
    let mass_through = add_mass(mass, Mass(through.y, through.z));
    if (lane == BINS - 1u) { crossing = Crossing(NO_BIN, true, count + through.x, mass_through); }
    workgroupBarrier();
    if (reaches(goal, count + through.x, mass_through) && !reaches(goal, count + before.x, mass_before)) {
      let complete = own_count == 1u || (!goal.by_mass && count + through.x == goal.count);
      if (complete) {
        crossing = Crossing(bin, true, count + through.x, mass_through);
      } else {
        crossing = Crossing(bin, false, count + before.x, mass_before);
      }
    }
    let found = workgroupUniformLoad(&crossing);
    count = found.count;
    mass = found.mass;
    if (found.bin == NO_BIN) { break; }
    let digit = found.bin << digit_shift(level);
    if (level < KEY_LEVELS) { bound.key |= digit; } else { bound.rank |= digit; }
    if (found.complete) { break; }
  }
  return Selected(bound, mass);
}
