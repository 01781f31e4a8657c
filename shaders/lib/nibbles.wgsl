// Codes of 4 bits, 32 in a vec4: byte b of word w holds value 8w + b (low nibble) and value 8w + 4 + b (high nibble).

// Codes 4i … 4i + 3, one a byte.
fn nibble_quad(packed: vec4<u32>, quad: u32) -> u32 {
  return (packed[quad >> 1u] >> ((quad & 1u) * 4u)) & 0x0f0f0f0fu;
}
