import type { RunnerLimits } from '../engine/runner';
import type { OpCall } from '../ops/calls';
import type { Activation, ActivationType, KvCache, RowBucket, Vector, Weight } from '../ops/op';
import type { SamplerStates } from '../ops/sampler_state';

/**
 * A weight of the plan and the file's tensors that it is made of, stacked by rows (fused Q/K/V, gate/up). Where the weight is a stack of
 * matrices (Weight.stackRows), so is each tensor, and every matrix of the weight is made of one of each tensor's.
 */
export interface WeightSource {
  readonly weight: Weight;
  readonly tensors: readonly string[];
}

/** A vector of the plan: the file's tensors one after another (none: empty), then `compute` where the plan wants other values. */
export interface VectorSource {
  readonly vector: Vector;
  readonly tensors: readonly string[];
  readonly compute?: (values: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>;
}

/** What the planner may choose freely for one model. */
export interface PlanOptions {
  readonly activationType: ActivationType;
  readonly states: SamplerStates;
}

/** A model as its architecture reads it from a file: what to load, what state a layer keeps, and its plan for a row bucket. */
export interface ModelSpec {
  readonly architecture: string;
  readonly vocabSize: number;
  /** Set for an encoder: its plan ends in the activation `logits` with a pooled vector of this many elements for each sampled row. */
  readonly embeddingSize?: number;
  readonly hiddenSize: number;
  /** Layers keep a state that cannot be cut back or shared: see RunnerLimits. */
  readonly recurrent: boolean;
  readonly numLayers: number;
  /** Where steps that ask for rows (Segment.returnHidden) leave them; absent: they cannot. */
  readonly hidden?: Activation;
  /** See RunnerLimits. */
  readonly earlyExits?: RunnerLimits['earlyExits'];
  readonly trainedContextLength: number;
  readonly weights: readonly WeightSource[];
  readonly vectors: readonly VectorSource[];
  readonly caches: readonly KvCache[];
  plan(bucket: RowBucket, options: PlanOptions): readonly OpCall[];
}
