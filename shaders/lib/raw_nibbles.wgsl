// Codes of 4 bits on their way from the file into the quants plane, where byte b of word w of a vec4 has value 8w + b low and
// 8w + 4 + b high (lib/nibbles.wgsl).

// #import "lib/raw_rows.wgsl"

// The low nibbles of `a`'s bytes below those of `b`.
fn interleave(a: u32, b: u32) -> u32 { return (a & 0x0f0f0f0fu) | ((b & 0x0f0f0f0fu) << 4u); }

// A block of 32 whose 16 bytes have values 0–15 in their low nibbles and 16–31 in the high ones.
fn raw_nibble_block(at: u32) -> vec4<u32> {
  let a = raw_u32(at);
  let b = raw_u32(at + 4u);
  let c = raw_u32(at + 8u);
  let d = raw_u32(at + 12u);
  return vec4<u32>(interleave(a, b), interleave(c, d), interleave(a >> 4u, b >> 4u), interleave(c >> 4u, d >> 4u));
}
