// Order-preserving u32 keys of logits: a < b exactly when order_key(a) < order_key(b). Decided on bits, because a shader compiler may
// assume that no float is NaN or infinite. NaN counts as -inf, +inf as the largest finite number, -0 as +0.

const KEY_NEGATIVE_INFINITY = 0x007fffffu;

fn order_key(x: f32) -> u32 {
  var bits = bitcast<u32>(x);
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return KEY_NEGATIVE_INFINITY; }
  if (magnitude == 0u) { bits = 0u; }
  if (bits == 0x7f800000u) { bits = 0x7f7fffffu; }
  return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

// The float of a key.
fn key_value(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, (key & 0x80000000u) != 0u));
}
