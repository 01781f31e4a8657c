// Codes of 2 bits on their way from the file into the planes.

// #import "lib/raw_rows.wgsl"

// The two bits at `shift` of 16 bytes: those of byte 4i + b become bits 8b + 2i.
fn raw_bit_pairs(at: u32, shift: u32) -> u32 {
  var bits = 0u;
  for (var i = 0u; i < 4u; i++) { bits |= ((raw_u32(at + 4u * i) >> shift) & 0x03030303u) << (2u * i); }
  return bits;
}
