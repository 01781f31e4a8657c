// What both samplers share: the words of a segment's sampling record (SAMPLING in src/ops/step_layout.ts) and of a sample record
// (src/ops/sample/record.ts), and weights of keys. Needs lib/step.wgsl and lib/order_key.wgsl.

const SAMPLE_WORDS = 44u;
const MAX_LOGIT_BIAS = 1024u;
const MAX_TOP_LOGPROBS = 20u;
const NO_LOGPROB = 0x7fc00000u;
const NEGATIVE_INFINITY_BITS = 0xff800000u;
const MIN_TEMPERATURE = 1e-6;
const TOKEN_STREAM = 0u;
const XTC_STREAM = 1u;
const PROPOSAL_STREAM = 2u;
const ACCEPT_STREAM = 3u;
// In the record's word of top entries: the next row's token is this one; no token has a chance.
const ACCEPTED = 0x80000000u;
const NO_CHANCE = 0x40000000u;
const LARGEST = 0x1.fffffep127f;

const TEMPERATURE = 0u;
const TOP_K = 1u;
const TOP_P = 2u;
const MIN_P = 3u;
const REPETITION_PENALTY = 4u;
const FREQUENCY_PENALTY = 5u;
const PRESENCE_PENALTY = 6u;
const SEED_LOW = 7u;
const SEED_HIGH = 8u;
const TOP_LOGPROBS = 9u;
const BIAS_COUNT = 10u;
const REPEAT_LAST_N = 11u;
const CHAINED = 12u;
const STAGES = 13u;
const STAGE_CODES = 14u;
const TOP_N_SIGMA = 16u;
const TYPICAL_P = 17u;
const XTC_PROBABILITY = 18u;
const XTC_THRESHOLD = 19u;
const DYNATEMP_RANGE = 20u;
const DYNATEMP_EXPONENT = 21u;
const MIROSTAT = 22u;
const MIROSTAT_TAU = 23u;
const MIROSTAT_ETA = 24u;
const DRY_OFFSET = 25u;
const PROPOSES = 26u;
const PROPOSALS_OFFSET = 27u;

fn setting_f32(segment: u32, field: u32) -> f32 { return bitcast<f32>(step_sampling(segment, field)); }

// Uniform in [0, 1): of the segment's seed at the position of a row.
fn drawn_at(segment: u32, row: u32, stream: u32) -> f32 {
  let seed = vec2<u32>(step_sampling(segment, SEED_LOW), step_sampling(segment, SEED_HIGH));
  return uniform_at(seed, step_row_position(row), stream);
}

// exp(scale · (value of key - value of best)), 0 for -inf. Halves and clamps keep every intermediate finite.
fn relative_weight(key: u32, best: u32, scale: f32) -> f32 {
  if (key <= KEY_NEGATIVE_INFINITY) { return 0.0; }
  let half_distance = max(0.5 * key_value(key) - 0.5 * key_value(best), -1e30);
  return exp(max(half_distance * (2.0 * scale), -128.0));
}

// Of a token with this key where `sum` is Σ exp(logit - best logit).
fn logprob_bits(key: u32, best: u32, sum: f32) -> u32 {
  if (key <= KEY_NEGATIVE_INFINITY) { return NEGATIVE_INFINITY_BITS; }
  return bitcast<u32>(key_value(key) - key_value(best) - log(sum));
}
