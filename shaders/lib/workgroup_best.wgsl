// The largest (key, then lowest id) of a workgroup, by two rounds of atomics. Ids are kept inverted, so that zero is the worst.

var<workgroup> best_key: atomic<u32>;
var<workgroup> best_inverted_id: atomic<u32>;
var<workgroup> best_of_workgroup: vec2<u32>;

// Uniform (key, id). A lane without a candidate passes key 0 and id 0xffffffff.
fn workgroup_best(lane: u32, key: u32, id: u32) -> vec2<u32> {
  if (lane == 0u) {
    atomicStore(&best_key, 0u);
    atomicStore(&best_inverted_id, 0u);
  }
  workgroupBarrier();
  atomicMax(&best_key, key);
  workgroupBarrier();
  if (atomicLoad(&best_key) == key) { atomicMax(&best_inverted_id, ~id); }
  workgroupBarrier();
  if (lane == 0u) { best_of_workgroup = vec2<u32>(atomicLoad(&best_key), ~atomicLoad(&best_inverted_id)); }
  return workgroupUniformLoad(&best_of_workgroup);
}
