// A GEMM whose columns several workgroups share, as many as the step's grid leaves room for (grid z); ops/linear_gemm_sum.wgsl adds up what
// they found. The only one of them finishes its values at once.

// [share][row][column of the part]
@group(0) @binding(7) var<storage, read_write> partials: array<f32>;

// The steps of columns of share `share.x` of `share.y`: [0] up to [1].
fn steps_of(share: vec2<u32>, steps: u32) -> vec2<u32> {
  return vec2<u32>(steps * share.x / share.y, steps * (share.x + 1u) / share.y);
}

fn store_sum(row: u32, rows: u32, column: u32, share: vec2<u32>, sum: f32) {
  if (row >= rows || column >= PART_ROWS) { return; }
  if (share.y > 1u) {
    partials[(share.x * rows + row) * PART_ROWS + column] = sum;
  } else {
    store_value(row, column, sum, 0.0);
  }
}
