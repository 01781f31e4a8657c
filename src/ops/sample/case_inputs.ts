import type { SamplingSettings, Segment } from '../../engine/runner';
import type { Activation, ActivationType } from '../op';
import { samplerStates } from '../sampler_state';
import { PAGE_SIZE } from '../step_layout';
import { philox } from './rng';

/** Positions of a slot in the cases. */
export const CONTEXT = 256;

/** Uniform numbers in [0, 1) for inputs. */
export function randomOf(seed: number, stream: number): () => number {
  let index = 0;
  return () => philox([index++, stream, 1, 0], [seed >>> 0, 0])[0] / 2 ** 32;
}

/** Roughly normal logits with deviation 4, multiples of 1/32 below 16: exact in f16, with ties in larger vocabularies. */
export function coarseLogits(count: number, random: () => number): Float32Array {
  return Float32Array.from({ length: count }, () => {
    const sum = random() + random() + random() + random() - 2;
    return Math.round(sum * 7 * 32) / 32;
  });
}

/** Segments of three rows, the first of which samples after every row, the others after their last. */
export function segmentsOf(rows: readonly SamplingSettings[], sampleAll: boolean): Segment[] {
  return rows.map((sampling, index) => {
    const position = 3 + 11 * index;
    return {
      slot: rows.length - 1 - index,
      tokens: [1, 2, 3],
      position,
      pages: Array.from({ length: Math.ceil((position + 3) / PAGE_SIZE) }, (_, i) => i),
      sample: sampleAll && index === 0 ? 'all' : 'last',
      sampling,
    };
  });
}

export function tensorsOf(vocabSize: number, slots: number, sampledRows: number, type: ActivationType) {
  const logits: Activation = { name: 'logits', cols: vocabSize, rows: 'sampled', type };
  return {
    logits,
    ...samplerStates({ maxSlots: slots, vocabSize, maxSampledRows: sampledRows, contextLength: CONTEXT }),
  };
}

export function shapeOf(segments: readonly Segment[]) {
  const rows = segments.reduce((sum, segment) => sum + segment.tokens.length, 0);
  const pages = Math.max(...segments.map((segment) => segment.pages.length));
  return {
    batch: { segments },
    bucket: { minRows: 1, maxRows: rows },
    contextLength: pages * PAGE_SIZE,
    numPages: pages,
    kvType: 'f32',
  } as const;
}
