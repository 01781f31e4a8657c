// Codes of 4 bits on their way from the file into the quants plane, where byte b of word w of a vec4 has value 8w + b low and
// 8w + 4 + b high (lib/nibbles.wgsl).

// #import "lib/raw_rows.wgsl"

// The low nibbles of `a`'s bytes below those of `b`.
fn interleave(a: u32, b: u32) -> u32 { return (a & 0x0f0f0f0fu) | ((b & 0x0f0f0f0fu) << 4u); }

// A block of 32 whose 16 bytes have values 0–15 in their low nibbles and 16–31 in the high ones.
fn raw_nibble_block(at: u32) -> vec4<u32> {
  return nibble_block(vec4<u32>(raw_u32(at), raw_u32(at + 4u), raw_u32(at + 8u), raw_u32(at + 12u)));
}

// The same for its 16 bytes.
fn nibble_block(bytes: vec4<u32>) -> vec4<u32> {
  let high = bytes >> vec4<u32>(4u);
  return vec4<u32>(
    interleave(bytes.x, bytes.y),
    interleave(bytes.z, bytes.w),
    interleave(high.x, high.y),
    interleave(high.z, high.w),
  );
}
