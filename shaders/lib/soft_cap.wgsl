// Soft-capping of attention scores (Bello et al. 2016): cap · tanh(score / cap). 0: none.

override SOFTCAP: f32 = 0.0;

// By exp of a negative number, which no device overflows.
fn soft_cap(scores: vec4<f32>) -> vec4<f32> {
  if (SOFTCAP == 0.0) { return scores; }
  let decay = exp(-2.0 * abs(scores) / SOFTCAP);
  return SOFTCAP * sign(scores) * (1.0 - decay) / (1.0 + decay);
}
