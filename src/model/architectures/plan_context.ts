import type { LinearCall, OpCall } from '../../ops/calls';
import type { Activation, RowBucket, Vector } from '../../ops/op';
import type { PlanOptions } from '../model_spec';
import type { Projection } from './projection';

/** Rows up to which a step is memory bound: norms and gated units fold into the matmuls (docs/kernels/linear.md). */
const SMALL_STEP_ROWS = 16;

/** Root mean square norm (Zhang & Sennrich 2019) of rows of hiddenSize values. */
export interface RmsNorm {
  readonly kind: 'rms';
  readonly weight: Vector;
  readonly eps: number;
}

/** Layer norm (Ba, Kiros & Hinton 2016). */
export interface LayerNorm {
  readonly kind: 'layer';
  readonly weight: Vector;
  readonly bias?: Vector;
  readonly eps: number;
}

export type Norm = RmsNorm | LayerNorm;

/** What a branch reads: rows as they are, or rows that every matmul which takes them has to normalise first. */
export interface BranchInput {
  readonly x: Activation;
  readonly norm?: { readonly weight: Vector; readonly eps: number };
}

/** Where a branch ends: added to the residual stream, or written for a norm that comes after it. */
export interface BranchOutput {
  readonly out: Activation;
  readonly accumulate: boolean;
  /** Absent: 1. */
  readonly scale?: number;
}

/** What the parts of a model share while they write their calls for one row bucket. */
export class PlanContext {
  /** The residual stream stays in f32: it is small, and the sums of many layers live in it. */
  readonly x: Activation;
  /** The step is memory bound: folding saves dispatches and costs nothing. */
  readonly small: boolean;
  private readonly widths = new Map<string, number>();

  constructor(
    hiddenSize: number,
    readonly bucket: RowBucket,
    readonly options: PlanOptions,
  ) {
    this.x = { name: 'x', cols: hiddenSize, rows: 'step', type: 'f32' };
    this.small = bucket.maxRows <= SMALL_STEP_ROWS;
  }

  /** A buffer of [rows, cols] that all layers take in turn; layers of another width get one of their own. */
  step(name: string, cols: number, type = this.options.activationType): Activation {
    const width = this.widths.get(name) ?? cols;
    this.widths.set(name, width);
    return { name: width === cols ? name : `${name}_${cols}`, cols, rows: 'step', type };
  }

  /** out = norm(x). */
  norm(x: Activation, norm: Norm, out: Activation): OpCall {
    const { weight, eps } = norm;
    if (norm.kind === 'layer') return { op: 'layer_norm', x, weight, bias: norm.bias, out, eps };
    return { op: 'rms_norm', x, weight, out, eps };
  }

  /** The residual stream as a branch reads it: the norm folds into the matmuls of a small step and is a call of its own in a large one. */
  input(norm: Norm | undefined): { readonly calls: readonly OpCall[]; readonly input: BranchInput } {
    if (!norm) return { calls: [], input: { x: this.x } };
    if (this.small && norm.kind === 'rms') return { calls: [], input: { x: this.x, norm } };
    return this.materialised(norm, 'normed');
  }

  /**
   * The same, always by a call of its own: for branches that read it when the stream has moved on. `x`: the stream, or sampled rows of it.
   */
  materialised(
    norm: Norm,
    name: string,
    x = this.x,
  ): { readonly calls: readonly OpCall[]; readonly input: BranchInput } {
    const step = this.step(name, x.cols);
    const normed: Activation = x.rows === 'step' ? step : { ...step, name: `sampled_${step.name}`, rows: 'sampled' };
    return { calls: [this.norm(x, norm, normed)], input: { x: normed } };
  }

  /** out = epilogue(W·input + b). */
  linear(
    input: BranchInput,
    projection: Projection,
    out: Activation,
    options: Partial<Pick<LinearCall, 'epilogue' | 'scale' | 'softcap'>> = {},
  ): OpCall[] {
    return projection.map(({ weight, column, bias }) => ({
      op: 'linear',
      x: input.x,
      weight,
      out,
      outColumn: column,
      norm: input.norm && { weight: input.norm.weight, eps: input.norm.eps },
      bias,
      accumulate: false,
      epilogue: 'none',
      ...options,
    }));
  }

  /** The last matmul of a branch. */
  finish(x: Activation, projection: Projection, { out, accumulate, scale }: BranchOutput): OpCall[] {
    return projection.map(({ weight, column, bias }) => ({
      op: 'linear',
      x,
      weight,
      out,
      outColumn: column,
      bias,
      accumulate,
      scale,
      epilogue: 'none',
    }));
  }
}
