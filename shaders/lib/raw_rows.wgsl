// Rows of a GGUF tensor as they lie in the file, in `raw: array<u32>`; the entry file declares it and `params: RepackParams`.
// A row's blocks may begin at any byte.

struct RepackParams {
  // Rows to repack.
  row_count: u32,
  // Where they go: row of the target planes.
  first_row: u32,
  // Where they come from: row of `raw`.
  first_raw_row: u32,
  reserved: u32,
}

// Everything that is read as a word begins on one: known for formats whose blocks are whole words, and for rows of them.
const ON_WORDS: bool = false;

// The word at a byte offset. Reads the next word only when it holds a part of the result.
fn raw_u32(at: u32) -> u32 {
  let low = raw[at / 4u];
  if (ON_WORDS) { return low; }
  let shift = (at & 3u) * 8u;
  if (shift == 0u) { return low; }
  return (low >> shift) | (raw[at / 4u + 1u] << (32u - shift));
}

// The word that begins in the middle of `a` and ends in that of `b`, which follows it.
fn halves_of(a: u32, b: u32) -> u32 { return (a >> 16u) | (b << 16u); }

// At an even byte offset.
fn raw_u16(at: u32) -> u32 { return (raw[at / 4u] >> ((at & 2u) * 8u)) & 0xffffu; }

fn raw_u8(at: u32) -> u32 { return (raw[at / 4u] >> ((at & 3u) * 8u)) & 0xffu; }
