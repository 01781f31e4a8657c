// Activations as halves: see lib/activation_f32.wgsl. A conversion leaves what is beyond their range undefined (an infinity, mostly, of which
// the next sum makes NaN), and gated units of real models go there: clamped to the largest half, an outlier stays an outlier.

enable f16;

const LARGEST_HALF = 65504.0;

fn kept(value: f32) -> f16 { return f16(clamp(value, -LARGEST_HALF, LARGEST_HALF)); }

fn kept_quad(values: vec4<f32>) -> vec4<f16> {
  return vec4<f16>(clamp(values, vec4<f32>(-LARGEST_HALF), vec4<f32>(LARGEST_HALF)));
}
