/** The variants of the tiled kernels for more than 16 rows as a space to search, and which of them run without a search. */
import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import type { GemmTuning } from '../tuning';
import { hasIntegerCodes, laneColumns } from '../weights/layout';

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

/** Workgroups to split a grid up to: enough for small GPUs, for the large ones of today, and for the largest. */
const SPLIT_TO = [0, 64, 256, 512] as const;
/** Two for each of the 128 compute units or so of a large GPU: one multiplies while the other waits at a barrier. */
const ENOUGH_WORKGROUPS = 256;
/** A share of the columns is at least as many: writing and reading its sum (8 bytes) is little next to 512 operations. */
const SHARE_COLUMNS = 256;
const MAX_SPLITS = 8;

/** Whether a row tile is the GEMM's. */
export function isGemm(rowTile: number | 'many'): rowTile is GemmRowTile {
  return rowTile === 48 || rowTile === 'many';
}

/** The GEMM's row tiles that a device has kernels for. A CPU gains nothing from more than one, which would all have to be compiled. */
export function gemmRowTiles({ software }: Capabilities): readonly GemmRowTile[] {
  return software ? ['many'] : GEMM_ROW_TILES;
}

/**
 * Halves in workgroup memory only where the activations are halves: rounding the weights to them costs no more than that did. Codes likewise:
 * two bytes a value are finer than halves, and coarser than what f32 activations may lose.
 */
export function gemmTunings(call: LinearCall, capabilities: Capabilities): readonly GemmTuning[] {
  const { f16, dot4, limits, software } = capabilities;
  const halves = call.x.type === 'f16';
  const types = f16 && halves ? (['f16', 'f32'] as const) : (['f32'] as const);
  const tiles = types.flatMap((tileType) =>
    K_STEPS.flatMap((kStep): Tile[] => [
      ...GEMM_TILES.map(([tileRows, rowsPerLane]) => ({ tileRows, rowsPerLane, kStep, tileType })),
      ...MATRIX_TILES.flatMap((tileRows) =>
        matrixShapes(capabilities, tileType, kStep, tileRows).map(
          (matrix): Tile => ({ tileRows, rowsPerLane: 8, kStep, tileType, matrix }),
        ),
      ),
    ]),
  );
  const codes =
    dot4 && halves && hasIntegerCodes(call.weight.format)
      ? GEMM_TILES.map(([tileRows, rowsPerLane]): Tile => ({ tileRows, rowsPerLane, kStep: 32, tileType: 'i8' }))
      : [];
  return [...tiles, ...codes]
    .filter((tile) => workgroupBytes(call, tile) <= limits.maxComputeWorkgroupStorageSize)
    .flatMap(({ matrix, ...tile }) =>
      SPLIT_TO.map((splitTo): GemmTuning => {
        return { kernel: 'gemm', ...tile, unrolled: !software, splitTo, ...(matrix && { matrix }) };
      }),
    )
    .filter((tuning) => tuning.splitTo === 0 || gemmSplits(call, tuning, 1) > 1);
}

/** Bytes of workgroup memory that a tile takes. */
function workgroupBytes({ weight }: LinearCall, { tileRows, kStep, tileType, matrix }: Tile): number {
  const columns = tileColumnsOf({ tileRows, matrix });
  if (tileType === 'i8') {
    const scales = (kStep / laneColumns(weight.format)) * 8;
    return tileRows * (2 * kStep + scales) + columns * (kStep + scales);
  }
  const results = matrix ? matrixSubgroups(tileRows) * matrix.m * matrix.n * 4 : 0;
  return (tileRows + columns) * kStep * (tileType === 'f16' ? 2 : 4) + results;
}

type Tile = Omit<GemmTuning, 'kernel' | 'unrolled' | 'splitTo'>;

/** The most shares of a tile's columns. */
export function maxSplits({ weight }: LinearCall): number {
  return Math.max(1, Math.min(MAX_SPLITS, Math.floor(weight.cols / SHARE_COLUMNS)));
}

/** Workgroups that share the columns of a tile in a step of so many rows: as many as `splitTo` leaves room for. Of a part of the weight, or all of it. */
export function gemmSplits(call: LinearCall, tuning: GemmTuning, rows: number, outputs = call.weight.rows): number {
  const grid = Math.ceil(outputs / tileColumnsOf(tuning)) * Math.ceil(rows / tuning.tileRows);
  return Math.max(1, Math.min(maxSplits(call), Math.floor(tuning.splitTo / Math.max(1, grid))));
}

/** Of tunings that run alike in a step of so many rows, because as many workgroups share columns, one: with `splitTo` where that is one of them. */
export function distinctGemms(
  call: LinearCall,
  tunings: readonly GemmTuning[],
  rows: number,
  splitTo: GemmTuning['splitTo'],
): GemmTuning[] {
  const kept = new Map<string, GemmTuning>();
  for (const tuning of tunings) {
    const runs = JSON.stringify({ ...tuning, splitTo: gemmSplits(call, tuning, rows) });
    if (!kept.has(runs) || tuning.splitTo === splitTo) kept.set(runs, tuning);
  }
  return [...kept.values()];
}

/** Output columns of a workgroup's tile. */
export function tileColumnsOf({ tileRows, matrix }: Pick<GemmTuning, 'tileRows' | 'matrix'>): number {
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
  const splitTo = software ? 0 : ENOUGH_WORKGROUPS;
  if (software) return { tileRows: 64, rowsPerLane: 4, kStep: 32, tileType: x.type, splitTo };
  if (rowTile === 48) return { tileRows: 32, rowsPerLane: 4, kStep: 32, tileType: x.type, splitTo };
  const tileRows = weight.rows >= 4096 ? 128 : 64;
  return { tileRows, rowsPerLane: 8, kStep: tileRows === 128 ? 16 : 32, tileType: x.type, splitTo };
}
