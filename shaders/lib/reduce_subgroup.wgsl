// Sum over the lanes of a group by subgroup shuffles, for any subgroup size: a subgroup that is smaller than the group leaves one
// partial sum each, a larger one holds several groups. Relies on subgroups being runs of consecutive invocations of a
// one-dimensional workgroup, which every implementation keeps to; the self-test would tell one that does not.
enable subgroups;

// #import "lib/reduce_tree.wgsl"

// How many neighbouring lanes `reduce_lanes` sums up; the value of the first of them counts.
fn reduce_width() -> u32 { return min(REDUCE_LANES, subgroupAdd(1u)); }

fn reduce_lanes(value: vec4<f32>, width: u32) -> vec4<f32> {
  var sum = value;
  // A butterfly: the order of the additions depends on the lane's place in its group alone.
  for (var mask = 1u; mask < REDUCE_LANES; mask *= 2u) {
    let other = subgroupShuffleXor(sum, mask);
    if (mask < width) { sum += other; }
  }
  return sum;
}

// What subgroups leave is little: nothing more to do for many invocations.
fn reduce_shared(thread: u32, count: u32, width: u32) -> u32 { return width; }
