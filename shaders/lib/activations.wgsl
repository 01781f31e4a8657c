// Activation functions in f32 that overflow nowhere on the way.

fn silu(v: f32) -> f32 { return v / (1.0 + exp(-max(v, -80.0))); }

// GELU by its tanh approximation (Hendrycks & Gimpel 2016): v/2·(1 + tanh(z)) = v / (1 + exp(-2z)).
fn gelu_tanh(v: f32) -> f32 {
  let z = 0.7978845608028654 * fma(0.044715 * v * v, v, v);
  return v / (1.0 + exp(-2.0 * max(z, -40.0)));
}

// The built-in tanh may be off in the third digit, and not a number for large arguments.
fn safe_tanh(v: f32) -> f32 {
  let e = exp(-2.0 * abs(v));
  return sign(v) * ((1.0 - e) / (1.0 + e));
}
