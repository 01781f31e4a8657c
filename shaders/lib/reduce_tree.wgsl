// Sums of partial sums in workgroup memory, REDUCE_LANES neighbours at a time, in the order of a binary tree over neighbours. That is also
// the order of the butterfly in lib/reduce_subgroup.wgsl, so that nothing depends on the size of subgroups, which a driver may choose anew
// for each pipeline. The entry file declares `tile`, an array of vec4 in workgroup memory, and REDUCE_LANES, a power of two.

// tile[first] of eight partial sums `step` apart.
fn reduce_eight(first: u32, step: u32) {
  let low = (tile[first] + tile[first + step]) + (tile[first + 2u * step] + tile[first + 3u * step]);
  let high = (tile[first + 4u * step] + tile[first + 5u * step]) + (tile[first + 6u * step] + tile[first + 7u * step]);
  tile[first] = low + high;
}

// What is left of a group: tile[first], tile[first + width], … Overwrites them: no other invocation may use them meanwhile.
fn reduce_rest(first: u32, width: u32, one: u32) -> vec4<f32> {
  for (var step = width; step < REDUCE_LANES * one; step *= 2u) {
    for (var lane = 0u; lane < REDUCE_LANES * one; lane += 2u * step) { tile[first + lane] += tile[first + lane + step]; }
  }
  return tile[first];
}
