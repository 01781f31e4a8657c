// Peak rate of fused multiply-adds outside of matrix units: eight independent chains of vec4s an invocation, FLOPS_PER_ROUND operations a
// round. Factor and summand come from a buffer, so that nothing folds; the chains converge, so that nothing overflows.

alias Value = f32;

struct FmaParams {
  rounds: u32,
  factor: f32,
  summand: f32,
  reserved: u32,
}

@group(0) @binding(0) var<uniform> params: FmaParams;
@group(0) @binding(1) var<storage, read_write> sink: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let m = vec4<Value>(Value(params.factor));
  let s = vec4<Value>(Value(params.summand));
  let start = Value(f32(id.x % 64u) * 0.01);
  var a = vec4<Value>(start);
  var b = a + s;
  var c = b + s;
  var d = c + s;
  var e = d + s;
  var f = e + s;
  var g = f + s;
  var h = g + s;
  for (var round = 0u; round < params.rounds; round++) {
    a = fma(fma(a, m, s), m, s);
    b = fma(fma(b, m, s), m, s);
    c = fma(fma(c, m, s), m, s);
    d = fma(fma(d, m, s), m, s);
    e = fma(fma(e, m, s), m, s);
    f = fma(fma(f, m, s), m, s);
    g = fma(fma(g, m, s), m, s);
    h = fma(fma(h, m, s), m, s);
  }
  let sum = f32(dot(a + b + c + d + e + f + g + h, vec4<Value>(Value(1.0))));
  // Never true, which the compiler cannot know.
  if (sum == -1.0) { sink[0] = sum; }
}
