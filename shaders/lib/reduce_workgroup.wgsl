// Sum over the lanes of a group by way of workgroup memory: every lane leaves its value there, and groups of more than eight lanes are added
// up by an invocation for each eight, as often as that goes. lib/reduce_subgroup.wgsl takes shuffles instead. Groups are REDUCE_LANES
// consecutive invocations; `tile` is the entry file's.

// #import "lib/reduce_tree.wgsl"

// How many neighbouring lanes `reduce_lanes` sums up; the value of the first of them counts.
fn reduce_width() -> u32 { return 1u; }

fn reduce_lanes(value: vec4<f32>, width: u32) -> vec4<f32> { return value; }

// After a barrier: adds up the first `count` places of `tile`, group by group, as far as it can. The sums that are left of a group are as
// far apart as it says. In uniform control flow; ends with a barrier if it did anything.
fn reduce_shared(thread: u32, count: u32, width: u32) -> u32 {
  var apart = width;
  for (var step = 1u; step * 8u <= REDUCE_LANES && REDUCE_LANES > 8u; step *= 8u) {
    if (thread < count / (8u * step)) { reduce_eight(thread * 8u * step, step); }
    workgroupBarrier();
    apart = step * 8u;
  }
  return apart;
}
