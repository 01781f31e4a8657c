import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import type { Weight } from '../op';

/**
 * What a tuner may sweep in the GEMV kernel. Neither changes a bit of the result: a row's sums are ordered by the weight's format alone.
 */
export interface GemvTuning {
  /** Invocations of a workgroup. */
  readonly workgroupSize: number;
  /** Output rows that a lane computes side by side, each with its own load in flight; 4, 2 or 1 (SwiGLU: 4 or 2). */
  readonly outputsPerLane: number;
}

/** Rows that one GEMV pipeline reads a weight for. */
export const GEMV_ROW_TILES = [1, 4, 16] as const;
export type GemvRowTile = (typeof GEMV_ROW_TILES)[number];

/** vec4 of the kernel's tile in workgroup memory (TILE_QUADS), which holds the partial sums at the end. */
const PARTIAL_SUMS = 512;

/** Every tuning that the kernel of a call can run with at WebGPU's default limits: what an autotuner may choose from. */
export function gemvTunings(call: LinearCall): readonly GemvTuning[] {
  // A lane of SwiGLU needs a gate and its up projection.
  const fewest = call.epilogue === 'swiglu' ? 2 : 1;
  return [64, 128, 256].flatMap((workgroupSize) =>
    [1, 2, 4]
      .filter((outputs) => outputs >= fewest && workgroupSize * outputs <= PARTIAL_SUMS)
      .map((outputsPerLane) => ({ workgroupSize, outputsPerLane })),
  );
}

/**
 * What to run with before anything was measured. Small workgroups keep many of them in flight for small matrices; with more rows the
 * products of four outputs no longer fit into registers, and larger workgroups share the rows of x that they load.
 */
export function defaultGemvTuning(weight: Weight, rowTile: GemvRowTile, capabilities: Capabilities): GemvTuning {
  const workgroupSize = Math.min(
    rowTile === 1 && weight.rows <= 16384 ? 64 : 128,
    capabilities.limits.maxComputeInvocationsPerWorkgroup,
  );
  const manyOutputs = rowTile <= 4 && weight.rows >= 8192;
  return { workgroupSize, outputsPerLane: manyOutputs ? 4 : 2 };
}
