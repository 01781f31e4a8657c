// Blocks of a GGUF storage type with random bytes, except for a few that are set: scales, minimums, exponents. The blocks lie as in a
// file, one after another from the start of `raw`; repack kernels take them from there. One invocation writes 16 bytes.
// Bytes are Philox words of (index of the 16 bytes, first row, tensor), so the same seed gives the same weights everywhere.

// #import "lib/rng.wgsl"

struct BlockParams {
  // vec4s of `raw` to write.
  count: u32,
  block_bytes: u32,
  first_row: u32,
  tensor: u32,
  seed: u32,
  set_count: u32,
  reserved: vec2<u32>,
  // Bytes of a block that are not free: offset | keep << 16 | bits << 24; the byte becomes (random & keep) | bits.
  set_bytes: vec4<u32>,
}

@group(0) @binding(0) var<uniform> params: BlockParams;
@group(0) @binding(1) var<storage, read_write> raw: array<vec4<u32>>;

// The (keep, bits) masks of the byte at an offset into its block.
fn byte_masks(at: u32) -> vec2<u32> {
  for (var i = 0u; i < params.set_count; i++) {
    let entry = params.set_bytes[i];
    if ((entry & 0xffffu) == at) { return vec2<u32>((entry >> 16u) & 0xffu, entry >> 24u); }
  }
  return vec2<u32>(0xffu, 0u);
}

// A random word whose first byte lies `start` bytes into its block.
fn masked(random: u32, start: u32) -> u32 {
  var keep = 0u;
  var bits = 0u;
  for (var i = 0u; i < 4u; i++) {
    let masks = byte_masks((start + i) % params.block_bytes);
    keep |= masks.x << (8u * i);
    bits |= masks.y << (8u * i);
  }
  return (random & keep) | bits;
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  if (id.x >= params.count) { return; }
  let random = philox(vec4<u32>(id.x, params.first_row, params.tensor, 0u), vec2<u32>(params.seed, 0u));
  let start = id.x * 16u;
  raw[id.x] = vec4<u32>(
    masked(random.x, start),
    masked(random.y, start + 4u),
    masked(random.z, start + 8u),
    masked(random.w, start + 12u),
  );
}
