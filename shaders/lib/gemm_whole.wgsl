// A GEMM whose workgroups add up all columns: their sums are whole. lib/gemm_split.wgsl takes the place of this where they share them.

// The steps of columns of share `share.x` of `share.y`: [0] up to [1].
fn steps_of(share: vec2<u32>, steps: u32) -> vec2<u32> { return vec2<u32>(0u, steps); }

fn store_sum(row: u32, rows: u32, column: u32, share: vec2<u32>, sum: f32) {
  if (row < rows && column < PART_ROWS) { store_value(row, column, sum, 0.0); }
}
