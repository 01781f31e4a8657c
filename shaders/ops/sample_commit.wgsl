// Takes the samples of a step over into the slots: the last sampled row of a segment becomes the slot's last token, every sampled row
// counts as output, but for those behind a guess that was wrong; where the penalties have a window, what leaves it counts no more. A dispatch of its own, because the rows of one
// segment read the counts while they are drawn.
// One invocation per segment, so that no two write the same slot. Record layout and words of the past: src/ops/sample/record.ts.

// #import "lib/step.wgsl"
// #import "lib/past_tokens.wgsl"

const SAMPLE_WORDS = 44u;
const TOP_COUNT = 2u;
const ACCEPTED = 0x80000000u;
const MU = 3u;
const REPEAT_LAST_N = 11u;
const MIROSTAT = 22u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> samples: array<u32>;
@group(0) @binding(2) var<storage, read_write> last_tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read_write> past: array<u32>;
@group(0) @binding(5) var<storage, read_write> mu: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let vocab = step_vocab();
  if (id.x >= step_segments()) { return; }
  let segment = step_segment(id.x);
  let window = step_sampling(id.x, REPEAT_LAST_N);
  let first_past = segment.slot * step_context();
  // A row stands as long as those before it chose the tokens behind them.
  var stands = true;
  for (var i = 0u; i < segment.sampled_rows; i++) {
    let row = segment.first_sampled_row + i;
    let token = samples[row * SAMPLE_WORDS];
    last_tokens[segment.slot] = token;
    if (!stands) { continue; }
    stands = samples[row * SAMPLE_WORDS + TOP_COUNT] >= ACCEPTED;
    counts[segment.slot * vocab + token] += 1u;
    if (step_sampling(id.x, MIROSTAT) != 0u) { mu[segment.slot] = samples[row * SAMPLE_WORDS + MU]; }
    if (window == NO_WINDOW) { continue; }
    let position = step_row_position(step_sampled_row(row)) + 1u;
    // Behind the last position of the context nothing is computed.
    if (position < step_context()) { past[first_past + position] = token | IN_OUTPUT; }
    if (position < window) { continue; }
    let left = past[first_past + position - window];
    let count = segment.slot * vocab + (left & PAST_TOKEN);
    if ((left & IN_OUTPUT) != 0u) {
      counts[count] -= 1u;
    } else if ((left & LAST_IN_PROMPT) != 0u) {
      counts[count] &= ~IN_PROMPT;
    }
  }
}
