// What becomes of an expert's gate and up projections. The entry file declares `const EPILOGUE`.

// #import "lib/activations.wgsl"

const EPILOGUE_SWIGLU: u32 = 1u;
const EPILOGUE_SWIGLU_CLAMPED: u32 = 2u;
const EPILOGUE_GEGLU: u32 = 3u;

// x·sigmoid(slope·x); the exponential's argument is bounded, so that nothing overflows on the way.
fn gated_linear(x: f32, slope: f32) -> f32 { return x / (1.0 + exp(-max(slope * x, -80.0))); }

fn expert_epilogue(gate: f32, up: f32) -> f32 {
  if (EPILOGUE == EPILOGUE_SWIGLU_CLAMPED) {
    return gated_linear(min(gate, 7.0), 1.702) * (clamp(up, -7.0, 7.0) + 1.0);
  }
  if (EPILOGUE == EPILOGUE_GEGLU) { return gelu_tanh(gate) * up; }
  return gated_linear(gate, 1.0) * up;
}
