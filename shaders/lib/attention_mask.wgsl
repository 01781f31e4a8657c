// Which positions a query sees: [seen_begin, seen_end) of its sequence.

// 0: no bound. Causal: the last WINDOW positions up to the query's own. Full: WINDOW / 2 to either side.
override WINDOW: u32 = 0u;

// Every position of the sequence, instead of those up to the query's own.
const FULL_MASK = false;

fn seen_begin(position: u32) -> u32 {
  let behind = select(WINDOW - 1u, WINDOW / 2u, FULL_MASK);
  if (WINDOW == 0u || position < behind) { return 0u; }
  return position - behind;
}

// `length`: positions of the sequence that the cache holds.
fn seen_end(position: u32, length: u32) -> u32 {
  if (!FULL_MASK) { return position + 1u; }
  if (WINDOW == 0u) { return length; }
  return min(length, position + WINDOW / 2u + 1u);
}
