// The bias of a GEMV, the last of its bindings: lib/linear_no_bias.wgsl does without.

@group(0) @binding(6) var<storage, read> bias: array<f32>;
