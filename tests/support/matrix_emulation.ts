/** What the functions of matrix units do, in plain WGSL: every lane of a subgroup holds whole matrices and computes all of them. */
const PLAIN = `
alias Left = array<Tile, M * K>;
alias Right = array<Tile, N * K>;
alias Result = array<f32, M * N>;

// Loops that a driver cannot unroll: it would take minutes.
fn counted(size: u32) -> u32 { return size * min(step_rows(), 1u); }

// Rows of K values that begin \`stride\` apart.
fn load_left(at: u32, stride: u32) -> Left {
  var matrix: Left;
  for (var i = 0u; i < counted(M * K); i++) { matrix[i] = x_tile[at + i / K * stride + i % K]; }
  return matrix;
}

// Columns of K values that begin \`stride\` apart.
fn load_right(at: u32, stride: u32) -> Right {
  var matrix: Right;
  for (var i = 0u; i < counted(N * K); i++) { matrix[i] = w_tile[at + i / K * stride + i % K]; }
  return matrix;
}

fn multiply_accumulate(left: Left, right: Right, sum: Result) -> Result {
  var a = left;
  var b = right;
  var c = sum;
  for (var i = 0u; i < counted(M * N); i++) {
    for (var k = 0u; k < counted(K); k++) { c[i] = fma(f32(a[i / N * K + k]), f32(b[i % N * K + k]), c[i]); }
  }
  return c;
}

// All lanes write the same.
fn store(at: u32, result: Result, stride: u32) {
  var matrix = result;
  for (var i = 0u; i < counted(M * N); i++) { results[at + i / N * stride + i % N] = matrix[i]; }
}
`;

const REPLACED: readonly (readonly [pattern: RegExp, by: string])[] = [
  [/enable \w*subgroup\w*;\n/g, ''],
  [/alias Left = [^]*?alias Result = [^\n]*\n/, PLAIN],
  [/ {2}@builtin\(subgroup_id\) subgroup: u32,\n {2}@builtin\(subgroup_invocation_id\) lane: u32,\n/, ''],
  [/\n\) \{\n/, '\n) {\n  let subgroup = thread / SUBGROUP;\n  let lane = thread % SUBGROUP;\n'],
  [/< MATRIX_ROWS;/g, '< counted(MATRIX_ROWS);'],
  [/< MATRIX_COLUMNS;/g, '< counted(MATRIX_COLUMNS);'],
  [/k < K_STEP;/g, 'k < counted(K_STEP);'],
  [/subgroupMatrixLoad<Left, row_major>\(&x_tile, /g, 'load_left('],
  [/subgroupMatrixLoad<Right, col_major>\(&w_tile, /g, 'load_right('],
  [/subgroupMatrixMultiplyAccumulate\(/g, 'multiply_accumulate('],
  [/subgroupMatrixStore<row_major>\(&results, /g, 'store('],
];

/**
 * The text of ops/linear_gemm_matrix.wgsl for GPUs without matrix units, by the meaning that Dawn's proposal gives to its functions
 * (docs/dawn/features/subgroup_matrix.md): left is M × K, right K × N, result M × N. Throws when the text has a form that is not known here.
 */
export function emulatedMatrixUnits(text: string): string {
  const plain = REPLACED.reduce((code, [pattern, by]) => {
    if (code.search(pattern) < 0) throw new Error(`the kernel has nothing like ${pattern}`);
    return code.replace(pattern, by);
  }, text);
  const left = /subgroup_matrix|subgroupMatrix|@builtin\(subgroup/.exec(plain);
  if (left) throw new Error(`"${left[0]}" is not emulated`);
  return plain;
}
