import type { WeightFormat } from '../../formats/weight_format';
import type { LinearCall } from '../calls';
import { caseBatch } from '../case_batch';
import type { Activation, ActivationType, OpCase, Vector } from '../op';
import { planeBytes } from '../weights/layout';

interface Shape {
  readonly format: WeightFormat;
  readonly rows: number;
  readonly cols: number;
  readonly outs: number;
  readonly with?: readonly (
    | 'norm'
    | 'bias'
    | 'accumulate'
    | 'swiglu'
    | 'geglu'
    | 'scale'
    | 'beyond halves'
    | 'softcap'
    | 'sampled'
    | 'column'
  )[];
  readonly type?: ActivationType;
  /** See OpCase: the weight lies in parts of 64 rows and a rest. */
  readonly inParts?: boolean;
}

/** Every format in every kernel and row tile; widths and heights that fill no block, sweep or tile; every epilogue in each kernel. */
const SHAPES: readonly Shape[] = [
  { format: 'f32', rows: 1, cols: 64, outs: 7 },
  { format: 'f32', rows: 3, cols: 172, outs: 130, with: ['norm'] },
  { format: 'f32', rows: 16, cols: 32, outs: 1, with: ['bias'] },
  { format: 'f32', rows: 17, cols: 172, outs: 7, with: ['accumulate'] },
  { format: 'f32', rows: 65, cols: 256, outs: 64 },
  { format: 'f16', rows: 1, cols: 172, outs: 64, with: ['accumulate'] },
  { format: 'f16', rows: 5, cols: 64, outs: 172, with: ['swiglu', 'norm'] },
  { format: 'f16', rows: 40, cols: 172, outs: 130, with: ['bias'], type: 'f16' },
  { format: 'bf16', rows: 2, cols: 172, outs: 7 },
  { format: 'bf16', rows: 16, cols: 256, outs: 130, with: ['norm', 'column'] },
  { format: 'bf16', rows: 64, cols: 64, outs: 1 },
  { format: 'q8_0', rows: 1, cols: 2304, outs: 130, with: ['norm'] },
  { format: 'q8_0', rows: 3, cols: 96, outs: 172, with: ['geglu'], type: 'f16' },
  { format: 'q8_0', rows: 16, cols: 544, outs: 7, with: ['accumulate', 'bias'] },
  { format: 'q8_0', rows: 17, cols: 32, outs: 64, with: ['column', 'accumulate', 'scale'] },
  { format: 'q8_0', rows: 65, cols: 96, outs: 130, with: ['beyond halves'], type: 'f16' },
  { format: 'q4_0', rows: 1, cols: 2080, outs: 172, with: ['swiglu', 'norm'] },
  { format: 'q4_0', rows: 2, cols: 32, outs: 1 },
  { format: 'q4_0', rows: 5, cols: 256, outs: 64, with: ['bias', 'beyond halves'], type: 'f16' },
  { format: 'q4_0', rows: 16, cols: 2336, outs: 130, with: ['norm'], type: 'f16' },
  { format: 'q4_0', rows: 40, cols: 288, outs: 172 },
  { format: 'q4_1', rows: 1, cols: 96, outs: 7, with: ['norm', 'bias'] },
  { format: 'q4_1', rows: 9, cols: 1056, outs: 64, with: ['accumulate', 'scale'] },
  { format: 'q4_1', rows: 64, cols: 256, outs: 172, with: ['bias', 'column', 'scale', 'softcap'] },
  { format: 'q4_k', rows: 1, cols: 2304, outs: 12, with: ['norm', 'swiglu'] },
  { format: 'q4_k', rows: 3, cols: 512, outs: 7, type: 'f16' },
  { format: 'q4_k', rows: 16, cols: 768, outs: 9, with: ['bias'] },
  { format: 'q4_k', rows: 40, cols: 256, outs: 67 },
  { format: 'q5_k', rows: 1, cols: 1280, outs: 7, with: ['norm'] },
  { format: 'q5_k', rows: 4, cols: 256, outs: 6, with: ['accumulate'] },
  { format: 'q5_k', rows: 9, cols: 512, outs: 10, with: ['swiglu'] },
  { format: 'q5_k', rows: 17, cols: 512, outs: 67, type: 'f16' },
  { format: 'q6_k', rows: 1, cols: 1280, outs: 7, type: 'f16' },
  { format: 'q6_k', rows: 4, cols: 512, outs: 6, with: ['norm'] },
  { format: 'q6_k', rows: 16, cols: 256, outs: 9, with: ['accumulate'] },
  { format: 'q6_k', rows: 33, cols: 512, outs: 67, with: ['bias'] },
  { format: 'q5_0', rows: 1, cols: 544, outs: 7, with: ['norm'] },
  { format: 'q5_0', rows: 16, cols: 96, outs: 10, with: ['swiglu'] },
  { format: 'q5_0', rows: 17, cols: 288, outs: 66 },
  { format: 'q5_1', rows: 1, cols: 96, outs: 6, type: 'f16' },
  { format: 'q5_1', rows: 4, cols: 544, outs: 7, with: ['bias'] },
  { format: 'q5_1', rows: 18, cols: 64, outs: 9, with: ['accumulate'] },
  { format: 'iq4_nl', rows: 1, cols: 544, outs: 7, with: ['norm'] },
  { format: 'iq4_nl', rows: 9, cols: 96, outs: 10, with: ['geglu', 'norm'] },
  { format: 'iq4_nl', rows: 17, cols: 288, outs: 9, type: 'f16' },
  { format: 'iq4_xs', rows: 1, cols: 768, outs: 6, with: ['accumulate'] },
  { format: 'iq4_xs', rows: 3, cols: 256, outs: 7, with: ['norm'] },
  { format: 'iq4_xs', rows: 19, cols: 512, outs: 66 },
  { format: 'mxfp4', rows: 1, cols: 672, outs: 9, with: ['bias'] },
  { format: 'mxfp4', rows: 16, cols: 96, outs: 7, type: 'f16' },
  { format: 'mxfp4', rows: 17, cols: 160, outs: 66 },
  { format: 'q3_k', rows: 1, cols: 1280, outs: 7, with: ['norm'] },
  { format: 'q3_k', rows: 4, cols: 256, outs: 10, with: ['swiglu'] },
  { format: 'q3_k', rows: 17, cols: 512, outs: 66 },
  { format: 'q2_k', rows: 1, cols: 1280, outs: 7, with: ['norm'] },
  { format: 'q2_k', rows: 16, cols: 256, outs: 9, with: ['accumulate'] },
  { format: 'q2_k', rows: 17, cols: 512, outs: 66, type: 'f16' },
  { format: 'q8_0', rows: 30, cols: 256, outs: 130, with: ['sampled', 'norm', 'softcap'] },
  { format: 'q4_0', rows: 60, cols: 64, outs: 64, with: ['sampled'] },
  { format: 'f16', rows: 12, cols: 172, outs: 7, with: ['sampled', 'norm'], type: 'f16' },
  { format: 'q8_0', rows: 1, cols: 96, outs: 110, with: ['norm', 'bias'], inParts: true },
  { format: 'q4_0', rows: 23, cols: 96, outs: 100, with: ['bias', 'accumulate', 'column'], inParts: true },
];

function linearCase(
  { format, rows, cols, outs, with: extras = [], type = 'f32', inParts = false }: Shape,
  seed: number,
): OpCase<LinearCall> {
  const has = (extra: (typeof extras)[number]): boolean => extras.includes(extra);
  // Two segments, so that sampled rows do not lie where a mistake would look for them.
  const first = Math.ceil(rows / 3);
  const segments =
    rows === 1 ? [{ position: 5, rows }] : [first, rows - first].map((count) => ({ position: 2, rows: count }));
  const made = caseBatch(segments, seed);
  const batch = has('sampled')
    ? {
        segments: made.batch.segments.map((s, i) => ({ ...s, sample: i === 0 ? ('last' as const) : ('all' as const) })),
      }
    : made.batch;
  const width = has('swiglu') || has('geglu') ? outs / 2 : outs;
  const outColumn = has('column') ? 5 : 0;
  const vector = (name: string, length: number): Vector => ({ name, length });
  const out: Activation = {
    name: 'out',
    cols: width + (has('column') ? 12 : 0),
    rows: has('sampled') ? 'sampled' : 'step',
    type,
  };
  return {
    label: `linear ${format} ${cols}→${outs} rows ${rows} ${type}${[...extras, ...(inParts ? ['in parts'] : [])].map((extra) => ` ${extra}`).join('')}`,
    calls: [
      {
        op: 'linear',
        x: { name: 'x', cols, rows: 'step', type },
        weight: { name: 'weight', format, rows: outs, cols },
        out,
        outColumn,
        norm: has('norm') ? { weight: vector('norm', cols), eps: 1e-5 } : undefined,
        bias: has('bias') ? vector('bias', outs) : undefined,
        // The columns beside the written ones are compared too: what out held has to be known.
        accumulate: has('accumulate'),
        epilogue: has('swiglu') ? 'swiglu' : has('geglu') ? 'geglu' : 'none',
        scale: has('beyond halves') ? 3000 : has('scale') ? 0.22 : undefined,
        // The products lie around sqrt(cols): on both sides of the bend.
        softcap: has('softcap') ? 20 : undefined,
      },
    ],
    batch,
    // A sampled call has few rows in any step; the others run the kernel of their row count alone.
    bucket: { minRows: has('sampled') ? 1 : rows, maxRows: rows },
    contextLength: 128,
    numPages: made.numPages,
    kvType: 'f32',
    maxBindingBytes: inParts ? planeBytes(format, 64, cols).quants : undefined,
    inputs: has('column') && !has('accumulate') ? { out: new Float32Array(rows * out.cols).fill(3) } : undefined,
    outputs: [{ tensor: out, budget: type === 'f16' ? 1e-6 : 1e-9 }],
  };
}

export function linearCases(seed: number): readonly OpCase<LinearCall>[] {
  return SHAPES.map((shape, i) => linearCase(shape, seed + i));
}
