import type { WeightFormat } from '../../formats/weight_format';
import type { LinearCall } from '../calls';
import { rowsBatch } from '../case_batch';
import { BENCH_SHAPES, type BenchShape, type KernelBench, stepActivation } from '../kernel_bench';

const FORMATS: readonly WeightFormat[] = ['q4_0', 'q4_k', 'q8_0', 'f16'];
/** Decode, a batch or a verification, a prefill chunk. */
const ROWS = [1, 4, 16, 256];
const MAX_FUSED_ROWS = 16;

interface Matrix {
  readonly name: string;
  readonly cols: number;
  readonly rows: number;
  readonly with?: 'norm' | 'swiglu' | 'accumulate';
}

/** The matrices of a layer as plans call them, and the output head. */
function matricesOf(shape: BenchShape): readonly Matrix[] {
  const { hiddenSize, intermediateSize, numHeads, numKvHeads, headDim, vocabSize } = shape;
  return [
    { name: 'qkv', cols: hiddenSize, rows: (numHeads + 2 * numKvHeads) * headDim, with: 'norm' },
    { name: 'output', cols: numHeads * headDim, rows: hiddenSize, with: 'accumulate' },
    { name: 'gate/up', cols: hiddenSize, rows: 2 * intermediateSize, with: 'swiglu' },
    { name: 'down', cols: intermediateSize, rows: hiddenSize, with: 'accumulate' },
    { name: 'head', cols: hiddenSize, rows: vocabSize, with: 'norm' },
  ];
}

/** Matrix times 1, 4, 16 and 256 rows; norms and SwiGLU are fused where the plan fuses them. */
export function linearBenches(): readonly KernelBench<LinearCall>[] {
  return BENCH_SHAPES.flatMap((shape) =>
    FORMATS.flatMap((format) =>
      ROWS.flatMap((rows) =>
        matricesOf(shape)
          // Only a few rows of a step are sampled.
          .filter(({ name }) => name !== 'head' || rows <= MAX_FUSED_ROWS)
          .map((matrix) => linearBench(shape.name, matrix, format, rows)),
      ),
    ),
  );
}

function linearBench(model: string, matrix: Matrix, format: WeightFormat, rows: number): KernelBench<LinearCall> {
  const { name, cols, rows: outs } = matrix;
  const fused = rows <= MAX_FUSED_ROWS;
  const swiglu = fused && matrix.with === 'swiglu';
  const norm = fused && matrix.with !== 'accumulate';
  const { batch, numPages } = rowsBatch(rows, 1);
  return {
    label: `linear ${model} ${name} ${format} rows ${rows}`,
    calls: [
      {
        op: 'linear',
        x: stepActivation('x', cols),
        weight: { name: 'weight', format, rows: outs, cols },
        out: stepActivation('out', swiglu ? outs / 2 : outs),
        outColumn: 0,
        norm: norm ? { weight: { name: 'norm', length: cols }, eps: 1e-5 } : undefined,
        accumulate: matrix.with === 'accumulate',
        epilogue: swiglu ? 'swiglu' : 'none',
      },
    ],
    batch,
    bucket:
      rows === 1 ? { minRows: 1, maxRows: 1 } : fused ? { minRows: 2, maxRows: 16 } : { minRows: 17, maxRows: rows },
    contextLength: rows,
    numPages,
    kvType: 'f16',
  };
}
