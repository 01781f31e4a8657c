/** What an autotuner chooses among the kernels' variants. Plain data, so that it can be remembered. */

/** What decides the order of a row's sums: one choice for all row tiles of a call, so that a row's bits do not depend on its neighbours. */
export interface GemvOrder {
  /** Times 256 columns that the lanes of an output cover side by side: more lanes where outputs are few. */
  readonly splitK: 1 | 2 | 4 | 8;
  /** f32 products, or 4×8-bit dot products of the weights' codes with x in two bytes a value. */
  readonly arithmetic: 'float' | 'dot4';
  /**
   * Where the lanes of an output add up their sums: by shuffles, or in workgroup memory. The tree is the same, but compilers may regroup
   * additions in the one that they see as a whole.
   */
  readonly reduction: Reduction;
}

export type Reduction = 'subgroup' | 'workgroup';

/** The memory-bound kernel of up to 16 rows. What is not of GemvOrder changes no bit of the result. */
export interface GemvTuning extends GemvOrder {
  readonly kernel: 'gemv';
  /** How x gets to the lanes: through workgroup memory, or each reads its columns by itself. */
  readonly x: 'staged' | 'direct';
  /** Invocations of a workgroup. */
  readonly workgroupSize: number;
  /** Output rows that a lane computes side by side, each with its own load in flight. */
  readonly outputsPerLane: number;
  /** Straight code for the quads of a vector. Software adapters take seconds to compile that. */
  readonly unrolled: boolean;
}

/** The compute-bound kernel of larger steps. */
export interface GemmTuning {
  readonly kernel: 'gemm';
  /** Rows of a workgroup's tile, which has 64 output columns, on matrix units as many as rows. */
  readonly tileRows: 32 | 64 | 128;
  /** Rows of those that an invocation computes, in 4 columns. */
  readonly rowsPerLane: 4 | 8;
  /** Columns of x and W in workgroup memory at a time. */
  readonly kStep: 16 | 32;
  /** What the operands are kept as in workgroup memory; i8: the weights' codes, and x in two bytes a value, for 4×8-bit dot products. */
  readonly tileType: 'f32' | 'f16' | 'i8';
  /** Straight code for the columns of a step. */
  readonly unrolled: boolean;
  /** Workgroups that a step's grid is split up to where it has fewer, up to eight for the columns of a tile; 0: never. */
  readonly splitTo: 0 | 64 | 256 | 512;
  /** On matrix units that multiply M × K by K × N operands of `tileType`; absent: on none. */
  readonly matrix?: { readonly m: number; readonly n: number; readonly k: number };
}

export type LinearTuning = GemvTuning | GemmTuning;

/** Attention of up to 16 rows: how a split's keys are dealt out to the lanes of its workgroup. One choice for all row counts of a call. */
export interface DecodeAttentionTuning {
  readonly kernel: 'decode';
  readonly workgroupSize: number;
  /** Lanes that score a key together. */
  readonly lanesPerKey: number;
}

/** Attention of larger steps: how much of it one workgroup does. Changes no bit of the result. */
export interface PrefillAttentionTuning {
  readonly kernel: 'prefill';
  /** Workgroups that share the rows of an attention tile: smaller ones need less memory each, and read K and V more often. */
  readonly parts: 1 | 2 | 4;
  /** vec4s of a head that are in workgroup memory at a time. */
  readonly panelQuads: number;
}

export type AttentionTuning = DecodeAttentionTuning | PrefillAttentionTuning;

/** Experts of up to 16 rows. One choice for all row counts of a call, which is one kernel. */
export interface ExpertGemvTuning {
  readonly kernel: 'expert_gemv';
  /** Invocations that compute the same experts of a row. */
  readonly block: 64 | 128 | 256;
  /** Output rows that a lane computes side by side. */
  readonly outputsPerLane: 1 | 2 | 4;
  /** Experts of a row that are computed side by side where they are added up, by a block each. */
  readonly slots: 1 | 2 | 4;
  /** As GemvOrder's. */
  readonly splitK: 1 | 2 | 4 | 8;
  readonly reduction: Reduction;
}

/** Experts of larger steps. But for `tileType` it changes no bit of the result. */
export interface ExpertGemmTuning {
  readonly kernel: 'expert_gemm';
  /** Pairs (row, slot) of a workgroup's tile of 64 weight rows, at most those of the step's list of tiles. */
  readonly tileRows: 32 | 64;
  /** Pairs of those that an invocation computes, in 4 weight rows. */
  readonly rowsPerLane: 2 | 4 | 8;
  /** Columns of x and W in workgroup memory at a time. */
  readonly kStep: 16 | 32;
  /** What the operands are kept as in workgroup memory. */
  readonly tileType: 'f32' | 'f16';
}

export type ExpertTuning = ExpertGemvTuning | ExpertGemmTuning;

/** The choices for one machine and model; absent ones are left to the ops' defaults. */
export interface KernelTuning {
  /** By `tuningKey` of ops/linear/tuning.ts. */
  linear(key: string): LinearTuning | undefined;
  /** By the names that ops/attention/tuning.ts gives to a call's kernels. */
  attention?(key: string): AttentionTuning | undefined;
  /** By `expertTuningKey` of ops/experts/tuning.ts. */
  experts?(key: string): ExpertTuning | undefined;
}

/** Of any family. */
export type Tuning = LinearTuning | AttentionTuning | ExpertTuning;
