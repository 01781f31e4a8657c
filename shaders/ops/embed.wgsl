// out[r] = scale · table[token of row r] + positions[position of row r], one weight part: rows whose token lies in another part are left to its dispatch.
// One invocation computes four columns of one row. A pending token is the one that the row's slot sampled last.

// #import "lib/step.wgsl"
// #import "quant/f32.wgsl"

alias Out = f32;

const POSITIONS: bool = false;

override COLS: u32 = 4u;
override BLOCKS: u32 = 1u;
override VOCAB: u32 = 1u;
// Rows [FIRST_ROW, FIRST_ROW + PART_ROWS) of the table lie in this part.
override FIRST_ROW: u32 = 0u;
override PART_ROWS: u32 = 1u;
override SCALE: f32 = 1.0;
override LAST_POSITION: u32 = 0u;

@group(0) @binding(0) var<storage, read> step_data: array<u32>;
@group(0) @binding(1) var<storage, read> last_tokens: array<u32>;
@group(0) @binding(2) var<storage, read> quants: array<Codes>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;
@group(0) @binding(4) var<storage, read> positions: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4<Out>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let row = id.y;
  if (id.x >= COLS / 4u || row >= step_rows()) { return; }
  var token = step_row_token(row);
  if (token == PENDING_TOKEN) { token = last_tokens[step_segment(step_row_segment(row)).slot]; }
  // Tokens were checked on the way in; one that is not in the table all the same must not read past it.
  token = min(token, VOCAB - 1u);
  if (token < FIRST_ROW || token - FIRST_ROW >= PART_ROWS) { return; }
  let table_row = token - FIRST_ROW;
  let vec = id.x / QUANT_QUADS;
  let scale = quant_scale(table_row, vec);
  var values = (quant_quad(quant_load(table_row, vec), id.x % QUANT_QUADS) * scale.x + vec4<f32>(scale.y)) * SCALE;
  if (POSITIONS) { values += positions[min(step_row_position(row), LAST_POSITION) * (COLS / 4u) + id.x]; }
  out[row * (COLS / 4u) + id.x] = vec4<Out>(values);
}
