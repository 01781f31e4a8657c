// In place of lib/linear_bias.wgsl, where there is none: one binding less. What would read it never runs.

var<private> bias: array<f32, 1>;
