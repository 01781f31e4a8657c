// Cosine and sine of a rotary angle without computing either: the table's two levels (src/ops/rope_table.ts) are
// multiplied as complex numbers, e^{i(a+b)} = e^{ia}·e^{ib}. The entry file declares `rope_table: array<vec2<f32>>` of
// (cos, sin).

const ROPE_LOW_POSITIONS = 256u;

// (cos, sin) of the angle of pair `pair`, of `pairs` pairs a head, at `position`.
fn rope_angle(position: u32, pair: u32, pairs: u32) -> vec2<f32> {
  let low = rope_table[(position % ROPE_LOW_POSITIONS) * pairs + pair];
  let high = rope_table[(ROPE_LOW_POSITIONS + position / ROPE_LOW_POSITIONS) * pairs + pair];
  return vec2<f32>(low.x * high.x - low.y * high.y, low.x * high.y + low.y * high.x);
}
