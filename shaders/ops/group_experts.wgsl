// Counting sort of the pairs (row, slot) of a step by expert, and the tiles that the grouped matmul runs (src/ops/experts/groups.ts).
// routing: [rows, 2·TOP_K], experts' indices first. groups: the number of tiles, then (expert, first place, pairs) of each, then the
// pairs in order. One workgroup: a lane counts one expert's pairs over all rows, so that their order is that of the rows.

// #import "lib/step.wgsl"

const EXPERTS: u32 = 8u;
const TOP_K: u32 = 2u;
const TILE_ROWS: u32 = 32u;

// Word where the list of pairs begins.
override PAIRS: u32 = 1u;

const LANES = 256u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> routing: array<f32>;
@group(0) @binding(2) var<storage, read_write> groups: array<u32>;

var<workgroup> seen: array<u32, LANES>;
// Pairs of an expert, then the first place of its pairs in the list.
var<workgroup> places: array<u32, EXPERTS>;

// Experts of LANES pairs from `first` on, for all lanes to look through.
fn load_pairs(lane: u32, first: u32, pairs: u32) {
  workgroupBarrier();
  let pair = first + lane;
  if (pair < pairs) { seen[lane] = u32(routing[(pair / TOP_K) * 2u * TOP_K + pair % TOP_K]); }
  workgroupBarrier();
}

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
  let pairs = step_rows() * TOP_K;
  for (var first_expert = 0u; first_expert < EXPERTS; first_expert += LANES) {
    let expert = first_expert + lane;
    var count = 0u;
    for (var first = 0u; first < pairs; first += LANES) {
      load_pairs(lane, first, pairs);
      for (var i = 0u; i < min(LANES, pairs - first); i++) { count += select(0u, 1u, seen[i] == expert); }
    }
    if (expert < EXPERTS) { places[expert] = count; }
  }
  workgroupBarrier();
  if (lane == 0u) {
    var place = 0u;
    var tile = 0u;
    for (var expert = 0u; expert < min(EXPERTS, pairs * EXPERTS); expert++) {
      let count = places[expert];
      places[expert] = place;
      for (var done = 0u; done < count; done += TILE_ROWS) {
        groups[1u + 3u * tile] = expert;
        groups[2u + 3u * tile] = place + done;
        groups[3u + 3u * tile] = min(TILE_ROWS, count - done);
        tile++;
      }
      place += count;
    }
    groups[0] = tile;
  }
  workgroupBarrier();
  for (var first_expert = 0u; first_expert < EXPERTS; first_expert += LANES) {
    let expert = first_expert + lane;
    var place = 0u;
    if (expert < EXPERTS) { place = PAIRS + places[expert]; }
    for (var first = 0u; first < pairs; first += LANES) {
      load_pairs(lane, first, pairs);
      for (var i = 0u; i < min(LANES, pairs - first); i++) {
        if (seen[i] == expert) {
          groups[place] = first + i;
          place++;
        }
      }
    }
  }
}
