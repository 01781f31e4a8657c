import { GREEDY } from '../../engine/runner';
import type { ArgmaxCall } from '../decoding_calls';
import type { ActivationType, OpCase } from '../op';
import { coarseLogits, randomOf, segmentsOf, shapeOf, tensorsOf } from './case_inputs';

function argmaxCase(
  label: string,
  vocab: number,
  type: ActivationType,
  rows: readonly Float32Array[],
): OpCase<ArgmaxCall> {
  // The first segment samples all of its three rows.
  const segments = segmentsOf(
    Array.from({ length: rows.length - 2 }, () => GREEDY),
    true,
  );
  const { logits, lastTokens, samples } = tensorsOf(vocab, segments.length, rows.length, type);
  const values = new Float32Array(rows.length * vocab);
  rows.forEach((row, i) => values.set(row, i * vocab));
  return {
    label: `argmax ${type} ${vocab} ${label}`,
    calls: [{ op: 'argmax', logits, lastTokens, samples }],
    ...shapeOf(segments),
    inputs: { logits: values },
    outputs: [
      { tensor: samples, budget: 'exact' },
      { tensor: lastTokens, budget: 'exact' },
    ],
  };
}

/** Greedy choice: ties across slices, values that are not numbers, vocabularies around the slice and workgroup sizes. */
export function argmaxCases(seed: number): readonly OpCase<ArgmaxCall>[] {
  const random = randomOf(seed, 1);
  const cases: OpCase<ArgmaxCall>[] = [];
  for (const [vocab, type] of [
    [1, 'f32'],
    [31, 'f16'],
    [512, 'f32'],
    [2048, 'f16'],
    [4099, 'f32'],
    [50257, 'f32'],
  ] as const) {
    const rows = Array.from({ length: 5 }, () => coarseLogits(vocab, random));
    cases.push(argmaxCase('random', vocab, type, rows));
  }
  const vocab = 4099;
  const tied = coarseLogits(vocab, random);
  for (const t of [4098, 2048, 2047]) tied[t] = 20;
  const strange = coarseLogits(vocab, random);
  for (const t of [0, 255, 2048]) strange[t] = Number.NaN;
  strange[1] = Number.NEGATIVE_INFINITY;
  const rows = [
    tied,
    strange,
    new Float32Array(vocab).fill(Number.NEGATIVE_INFINITY),
    new Float32Array(vocab).fill(Number.NaN),
    Float32Array.from({ length: vocab }, (_, t) => (t % 2 ? -0 : 0)),
    Float32Array.from({ length: vocab }, (_, t) => (t === 3001 ? Number.POSITIVE_INFINITY : -1e30 - t * 1e27)),
  ];
  cases.push(argmaxCase('ties and strange values', vocab, 'f32', rows));
  return cases;
}
