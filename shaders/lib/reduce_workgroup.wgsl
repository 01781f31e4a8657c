// Sum over the lanes of a group without subgroups: every lane's value stays its own, and the caller adds them up from workgroup
// memory. lib/reduce_subgroup.wgsl shortens that. Groups are REDUCE_LANES consecutive invocations.

// How many neighbouring lanes `reduce_lanes` sums up; the value of the first of them counts.
fn reduce_width() -> u32 { return 1u; }

fn reduce_lanes(value: vec4<f32>, width: u32) -> vec4<f32> { return value; }
