// The step buffer's accessors; the layout is documented in src/ops/step_layout.ts.
// An entry file declares `@group(0) @binding(0) var<storage, read> step_data: array<u32>;` and imports this file.

const STEP_ROW_WORDS: u32 = 4u;
const STEP_SEGMENT_WORDS: u32 = 8u;
const STEP_SAMPLING_WORDS: u32 = 32u;
const STEP_SAMPLED_WORDS: u32 = 2u;
const STEP_TILE_WORDS: u32 = 2u;
const PENDING_TOKEN: u32 = 0xffffffffu;
const PAGE_SIZE: u32 = 32u;

struct Segment {
  slot: u32,
  first_row: u32,
  row_count: u32,
  first_position: u32,
  pages_offset: u32,
  length: u32,
  first_sampled_row: u32,
  sampled_rows: u32,
}

fn step_rows() -> u32 { return step_data[0]; }
fn step_segments() -> u32 { return step_data[1]; }
fn step_sampled_rows() -> u32 { return step_data[2]; }
fn step_tiles() -> u32 { return step_data[3]; }

// Of samplers: tokens of a row of logits, positions of a slot's past.
fn step_vocab() -> u32 { return step_data[14]; }
fn step_context() -> u32 { return step_data[15]; }

fn step_row_token(row: u32) -> u32 { return step_data[step_data[4] + row * STEP_ROW_WORDS]; }
fn step_row_position(row: u32) -> u32 { return step_data[step_data[4] + row * STEP_ROW_WORDS + 1u]; }
fn step_row_segment(row: u32) -> u32 { return step_data[step_data[4] + row * STEP_ROW_WORDS + 2u]; }

fn step_segment(index: u32) -> Segment {
  let at = step_data[5] + index * STEP_SEGMENT_WORDS;
  return Segment(step_data[at], step_data[at + 1u], step_data[at + 2u], step_data[at + 3u], step_data[at + 4u], step_data[at + 5u], step_data[at + 6u], step_data[at + 7u]);
}

// Word `field` of a segment's sampling record.
fn step_sampling(segment: u32, field: u32) -> u32 { return step_data[step_data[6] + segment * STEP_SAMPLING_WORDS + field]; }

// The step's row whose logits are sampled row `index`, and its segment.
fn step_sampled_row(index: u32) -> u32 { return step_data[step_data[7] + index * STEP_SAMPLED_WORDS]; }
fn step_sampled_segment(index: u32) -> u32 { return step_data[step_data[7] + index * STEP_SAMPLED_WORDS + 1u]; }

// Whether the row behind `row` is the segment's too and has this token: the guess at what `row` samples is right.
fn step_is_guessed(row: u32, segment: Segment, token: u32) -> bool {
  return row + 1u < segment.first_row + segment.row_count && step_row_token(row + 1u) == token;
}

fn step_tile_segment(tile: u32) -> u32 { return step_data[step_data[8] + tile * STEP_TILE_WORDS]; }
fn step_tile_first_row(tile: u32) -> u32 { return step_data[step_data[8] + tile * STEP_TILE_WORDS + 1u]; }

// Where the block table of a segment begins, for caches of a group: 0 of those that keep everything, 1 of those with a window.
fn step_table(segment: Segment, group: u32) -> u32 { return segment.pages_offset + group * step_data[11]; }

// Physical page that holds `position` of a segment's sequence.
fn step_page(pages_offset: u32, position: u32) -> u32 { return step_data[pages_offset + position / PAGE_SIZE]; }
