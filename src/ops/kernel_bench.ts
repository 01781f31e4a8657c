import type { Activation, OpCase } from './op';

/**
 * A call of real shape to be timed: what an op case is, without anything to compare. Nothing of it is read, so its inputs may hold
 * anything finite.
 */
export type KernelBench<Call extends { readonly op: string } = { readonly op: string }> = Omit<
  OpCase<Call>,
  'inputs' | 'outputs'
>;

/** The parts of a published shape that kernels see. */
export interface BenchShape {
  readonly name: string;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly numHeads: number;
  readonly numKvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
}

/** Kernels are timed on these: the smallest and the largest that people run in a browser. */
export const BENCH_SHAPES: readonly BenchShape[] = [
  {
    name: 'llama-3.2-1b',
    hiddenSize: 2048,
    intermediateSize: 8192,
    numHeads: 32,
    numKvHeads: 8,
    headDim: 64,
    vocabSize: 128_256,
  },
  {
    name: 'llama-3.1-8b',
    hiddenSize: 4096,
    intermediateSize: 14_336,
    numHeads: 32,
    numKvHeads: 8,
    headDim: 128,
    vocabSize: 128_256,
  },
];

/** A f32 activation of the step. */
export function stepActivation(name: string, cols: number): Activation {
  return { name, cols, rows: 'step', type: 'f32' };
}
