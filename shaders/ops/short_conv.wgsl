// A causal convolution of each channel over the rows of a segment, after the inputs that its slot's state holds. x: [rows, X_COLS], out:
// [rows, CHANNELS], state: [slot][WIDTH - 1][CHANNELS], oldest first. A lane takes one channel, row after row. Workgroup (64 channels, segment).

// #import "lib/step.wgsl"
// #import "lib/activation_f32.wgsl"

alias ActIn = f32;
alias ActOut = f32;

const WIDTH: u32 = 4u;
// x begins with B, C and X: the input is B·X, the result is multiplied by C. Otherwise the result goes through SiLU.
const GATED: bool = false;

override CHANNELS: u32 = 1u;
override X_COLS: u32 = 1u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<ActIn>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read_write> state: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<ActOut>;

fn silu(v: f32) -> f32 { return v / (1.0 + exp(-max(v, -80.0))); }

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let channel = id.x;
  if (channel >= CHANNELS || id.y >= step_segments()) { return; }
  let segment = step_segment(id.y);
  let past = segment.slot * (WIDTH - 1u) * CHANNELS + channel;
  var inputs: array<f32, WIDTH>;
  var weights: array<f32, WIDTH>;
  for (var k = 0u; k < WIDTH; k++) { weights[k] = weight[channel * WIDTH + k]; }
  if (segment.first_position > 0u) {
    for (var k = 0u; k < WIDTH - 1u; k++) { inputs[k + 1u] = state[past + k * CHANNELS]; }
  }
  for (var row = segment.first_row; row < segment.first_row + segment.row_count; row++) {
    for (var k = 0u; k < WIDTH - 1u; k++) { inputs[k] = inputs[k + 1u]; }
    let at = row * X_COLS + channel;
    var input = f32(x[at]);
    if (GATED) { input *= f32(x[at + 2u * CHANNELS]); }
    inputs[WIDTH - 1u] = input;
    var sum = 0.0;
    for (var k = 0u; k < WIDTH; k++) { sum = fma(weights[k], inputs[k], sum); }
    if (GATED) { sum *= f32(x[at + CHANNELS]); } else { sum = silu(sum); }
    out[row * CHANNELS + channel] = kept(sum);
  }
  for (var k = 0u; k < WIDTH - 1u; k++) { state[past + k * CHANNELS] = inputs[k + 1u]; }
}
