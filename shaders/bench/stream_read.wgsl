// How fast device memory streams in: all invocations together read a buffer once, neighbours next to each other, 16 bytes at a time.
// The sum is written only when it is a value that it never has, which the compiler cannot know.

override VECS: u32 = 1u;
override SENTINEL: u32 = 0u;

@group(0) @binding(0) var<storage, read> data: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> sink: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let stride = groups.x * 256u;
  var sum = vec4<u32>(0u);
  for (var i = id.x; i < VECS; i += stride) { sum |= data[i]; }
  if ((sum.x | sum.y | sum.z | sum.w) == SENTINEL) { sink[0] = id.x; }
}
