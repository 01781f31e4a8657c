/** A shader with everything that chooses its variant. Two equal values give the same pipeline (compiled once). */
export interface KernelSource {
  /** Path below shaders/, e.g. "ops/rms_norm.wgsl". Its entry point is `main`. */
  readonly entry: string;
  /** Structural choice: import path → the module that takes its place (same functions), both below shaders/. */
  readonly swaps?: Readonly<Record<string, string>>;
  /** New initialisers for module-scope `const NAME`: register tiles, unrolled counts. An unknown name throws. */
  readonly constants?: Readonly<Record<string, number | boolean>>;
  /** New targets for module-scope `alias NAME = …`, e.g. { Act: 'f16' }. An unknown name throws. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Values of WGSL `override`s: shapes and scalars. Unused names throw when the pipeline is made. */
  readonly overrides?: Readonly<Record<string, number>>;
  /** A second kernel that runs in the same dispatch. */
  readonly beside?: KernelBeside;
}

/**
 * The second of two kernels that share a dispatch, each in workgroups of its own (horizontal fusion; Li et al. 2022, "Automatic Horizontal
 * Fusion for GPU Kernels"). Both have the same workgroup size, and neither reads what the other writes.
 */
export interface KernelBeside {
  readonly kernel: Omit<KernelSource, 'beside'>;
  /** Workgroups along x that are the first kernel's; those behind them are this one's, which sees them counted from 0. */
  readonly fromGroup: number;
  /** Where this kernel's bindings 0, 1, … are in the dispatch. Those that have the first kernel's number are its buffers. */
  readonly bindings: readonly number[];
}
