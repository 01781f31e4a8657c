/** The variants of the tiled kernels for more than 16 rows as a space to search, and which of them run without a search. */
import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import type { GemmTuning } from '../tuning';

/** Rows that one GEMM pipeline serves: up to 48, and more. */
export const GEMM_ROW_TILES = [48, 'many'] as const;
export type GemmRowTile = (typeof GEMM_ROW_TILES)[number];

/** Rows of a GEMM's tile and rows an invocation: 128 or 256 invocations. */
const GEMM_TILES = [
  [32, 4],
  [64, 4],
  [64, 8],
  [128, 8],
] as const;
const GEMM_TILE_COLUMNS = 64;
const K_STEPS = [16, 32] as const;
/** Rows and columns of a workgroup's tile on matrix units. */
const MATRIX_TILES = [64, 128] as const;

/** Whether a row tile is the GEMM's. */
export function isGemm(rowTile: number | 'many'): rowTile is GemmRowTile {
  return rowTile === 48 || rowTile === 'many';
}

/** The GEMM's row tiles that a device has kernels for. A CPU gains nothing from more than one, which would all have to be compiled. */
export function gemmRowTiles({ software }: Capabilities): readonly GemmRowTile[] {
  return software ? ['many'] : GEMM_ROW_TILES;
}

/** Halves in workgroup memory only where the activations are halves: rounding the weights to them costs no more than that did. */
export function gemmTunings(call: LinearCall, capabilities: Capabilities): readonly GemmTuning[] {
  const { f16, limits, software } = capabilities;
  const types = f16 && call.x.type === 'f16' ? (['f16', 'f32'] as const) : (['f32'] as const);
  const fits = (tuning: GemmTuning): boolean => {
    const { tileRows, kStep, tileType, matrix } = tuning;
    const tiles = (tileRows + tileColumnsOf(tuning)) * kStep * (tileType === 'f16' ? 2 : 4);
    const results = matrix ? matrixSubgroups(tileRows) * matrix.m * matrix.n * 4 : 0;
    return tiles + results <= limits.maxComputeWorkgroupStorageSize;
  };
  const choices = types.flatMap((tileType) =>
    K_STEPS.flatMap((kStep) => [
      ...GEMM_TILES.map(
        ([tileRows, rowsPerLane]): GemmTuning => ({
          kernel: 'gemm',
          tileRows,
          rowsPerLane,
          kStep,
          tileType,
          unrolled: !software,
        }),
      ),
      ...MATRIX_TILES.flatMap((tileRows) =>
        matrixShapes(capabilities, tileType, kStep, tileRows).map(
          (matrix): GemmTuning => ({
            kernel: 'gemm',
            tileRows,
            rowsPerLane: 8,
            kStep,
            tileType,
            unrolled: !software,
            matrix,
          }),
        ),
      ),
    ]),
  );
  return choices.filter(fits);
}

/** Output columns of a workgroup's tile. */
export function tileColumnsOf({ tileRows, matrix }: GemmTuning): number {
  return matrix ? tileRows : GEMM_TILE_COLUMNS;
}

/** Of a workgroup: each has 32 rows and half of the columns. */
function matrixSubgroups(tileRows: number): number {
  return (2 * tileRows) / 32;
}

/** The matrix units' shapes that a subgroup's 32 × 32 (or 64) results and a step's columns are made of; subgroups must have one size only. */
function matrixShapes(
  { subgroupMatrix, subgroupMatrixShapes, subgroupMinSize, subgroupMaxSize, limits }: Capabilities,
  tileType: 'f32' | 'f16',
  kStep: number,
  tileRows: number,
): NonNullable<GemmTuning['matrix']>[] {
  const invocations = matrixSubgroups(tileRows) * subgroupMaxSize;
  if (!subgroupMatrix || subgroupMinSize !== subgroupMaxSize) return [];
  if (invocations > limits.maxComputeInvocationsPerWorkgroup) return [];
  return subgroupMatrixShapes
    .filter(({ componentType, resultComponentType }) => componentType === tileType && resultComponentType === 'f32')
    .filter(({ M, N, K }) => 32 % M === 0 && 32 % N === 0 && kStep % K === 0)
    .map(({ M, N, K }) => ({ m: M, n: N, k: K }));
}

/** Eight rows an invocation halve what is read from workgroup memory; tall tiles where enough workgroups remain without low ones. */
export function wantedGemm(
  { x, weight }: LinearCall,
  rowTile: GemmRowTile,
  { software }: Capabilities,
): Partial<GemmTuning> {
  if (software) return { tileRows: 64, rowsPerLane: 4, kStep: 32, tileType: x.type };
  if (rowTile === 48) return { tileRows: 32, rowsPerLane: 4, kStep: 32, tileType: x.type };
  const tileRows = weight.rows >= 4096 ? 128 : 64;
  return { tileRows, rowsPerLane: 8, kStep: tileRows === 128 ? 16 : 32, tileType: x.type };
}
