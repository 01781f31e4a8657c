// The RMS norm's 1/rms within a GEMV workgroup: Σx² of each row, first by place in the sweep of 256 columns, each place added up by one
// invocation in the order of columns, then over the places in a fixed order. So the bits depend on nothing but the row.
// `ROWS`, `WORKGROUP`, `NORM`, `COLS` and `x` are the importer's.

const SWEEP_QUADS: u32 = 64u;
const SQUARE_PARTS: u32 = 8u;

override EPS: f32 = 0.0;

// [quad of the sweep][row]
var<workgroup> squares: array<f32, select(1u, SWEEP_QUADS * ROWS, NORM)>;

// Σx² of the live rows, an invocation for each (row, quad of the sweep).
fn sum_squares(thread: u32, first_row: u32, rows: u32, one: u32) {
  for (var item = thread; item < ROWS * SWEEP_QUADS * one; item += WORKGROUP) {
    let row = first_row + item / SWEEP_QUADS;
    let quad = item % SWEEP_QUADS;
    var sum = 0.0;
    if (row < rows) {
      let start = source_row(row) * (COLS / 4u);
      for (var at = quad; at < COLS / 4u * one; at += SWEEP_QUADS) {
        let v = vec4<f32>(x[start + at]);
        sum = dot_add(v, v, sum);
      }
    }
    squares[quad * ROWS + item / SWEEP_QUADS] = sum;
  }
}

// Adds up SQUARE_PARTS interleaved parts of the square sums of `count` rows, each in the place of its first term. Once for each row.
fn fold_squares(thread: u32, first_row: u32, count: u32, one: u32) {
  for (var index = thread; index < SQUARE_PARTS * count * one; index += WORKGROUP) {
    let item = index / count * ROWS + first_row + index % count;
    var sum = squares[item];
    for (var at = item + SQUARE_PARTS * ROWS; at < SWEEP_QUADS * ROWS * one; at += SQUARE_PARTS * ROWS) { sum += squares[at]; }
    squares[item] = sum;
  }
}

// 1 / rms of rows 4i … 4i + 3 of the workgroup, or 1 without a norm.
fn row_scales(i: u32, one: u32) -> vec4<f32> {
  if (!NORM) { return vec4<f32>(1.0); }
  var sums = vec4<f32>();
  for (var part = 0u; part < SQUARE_PARTS * one; part++) {
    let at = part * ROWS + 4u * i;
    sums.x += squares[at];
    if (ROWS > 1u) {
      sums.y += squares[at + 1u];
      sums.z += squares[at + 2u];
      sums.w += squares[at + 3u];
    }
  }
  return inverseSqrt(sums / f32(COLS) + vec4<f32>(EPS));
}
