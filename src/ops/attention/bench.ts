import type { AttentionCall } from '../calls';
import { caseBatch } from '../case_batch';
import { BENCH_SHAPES, type BenchShape, type KernelBench, stepActivation } from '../kernel_bench';

/** A decode step at three depths; a verification; prefill chunks at the start and far in. */
const STEPS = [
  { rows: 1, length: 128 },
  { rows: 1, length: 4096 },
  { rows: 1, length: 16_384 },
  { rows: 8, length: 4096 },
  { rows: 256, length: 256 },
  { rows: 256, length: 2048 },
];
const MAX_DECODE_ROWS = 16;

/** Attention over an f16 cache. */
export function attentionBenches(): readonly KernelBench<AttentionCall>[] {
  return BENCH_SHAPES.flatMap((shape) => STEPS.map((step) => attentionBench(shape, step)));
}

function attentionBench(
  { name, numHeads, numKvHeads, headDim }: BenchShape,
  { rows, length }: (typeof STEPS)[number],
): KernelBench<AttentionCall> {
  const { batch, numPages } = caseBatch([{ position: length - rows, rows }], 1);
  return {
    label: `attention ${name} rows ${rows} length ${length}`,
    calls: [
      {
        op: 'attention',
        q: stepActivation('q', numHeads * headDim),
        cache: { layer: 0, numKvHeads, headDim },
        out: stepActivation('out', numHeads * headDim),
        numHeads,
        scale: 1 / Math.sqrt(headDim),
      },
    ],
    batch,
    bucket: rows <= MAX_DECODE_ROWS ? { minRows: 1, maxRows: MAX_DECODE_ROWS } : { minRows: 17, maxRows: rows },
    contextLength: length,
    numPages,
    kvType: 'f16',
  };
}
