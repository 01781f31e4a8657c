// How a linear kernel finishes a value and where it goes. The entry file declares `out: array<Out>` and `bias: array<f32>`.

// #import "lib/activations.wgsl"
// #import "lib/activation_f32.wgsl"

alias Out = f32;

const BIAS: bool = false;
const ACCUMULATE: bool = false;
// A gated unit: one value is the gate's, the other the up projection's. GELU: its activation; SiLU otherwise.
const GLU: bool = false;
const GELU: bool = false;

// First row of this part in the whole weight.
override FIRST_ROW: u32 = 0u;
override OUT_COLS: u32 = 1u;
override OUT_COLUMN: u32 = 0u;
override SCALE: f32 = 1.0;
// 0: none.
override SOFTCAP: f32 = 0.0;

fn gated(gate: f32, up: f32) -> f32 {
  if (GELU) { return gelu_tanh(gate) * up; }
  return silu(gate) * up;
}

// `column`: the weight's row within its part, or of the upper half's within its half.
fn store_value(row: u32, column: u32, value: f32, up: f32) {
  var y = value;
  if (BIAS) { y += bias[FIRST_ROW + column]; }
  if (GLU) { y = gated(y, up); }
  let at = row * OUT_COLS + OUT_COLUMN + column;
  if (ACCUMULATE) { y = fma(y, SCALE, f32(out[at])); } else { y *= SCALE; }
  if (SOFTCAP > 0.0) { y = SOFTCAP * safe_tanh(y / SOFTCAP); }
  out[at] = kept(y);
}
