/** Cases that run a kernel as tuned, not as a device's defaults have it. */
import type { WeightFormat } from '../../formats/weight_format';
import type { LinearCall } from '../calls';
import { rowsBatch } from '../case_batch';
import type { ActivationType, OpCase } from '../op';
import type { GemmTuning, GemvTuning, LinearTuning, Reduction } from '../tuning';
import { planeBytes } from '../weights/layout';
import { isGated } from './epilogue';
import type { LinearRowTile } from './tuning';

/** Whether 4×8-bit dot products multiply a tuning's codes. */
function usesCodes(tuning: LinearTuning): boolean {
  return tuning.kernel === 'gemv' ? tuning.arithmetic === 'dot4' : tuning.tileType === 'i8';
}

/** Rows that a row tile is tried with. */
export const TRIED_ROWS: Readonly<Record<LinearRowTile, number>> = { 1: 1, 4: 3, 16: 13, 48: 40, many: 70 };

function variantCase(
  call: LinearCall,
  tuning: LinearTuning,
  seed: number,
  rows: number,
  minRows = rows,
): OpCase<LinearCall> {
  const { batch, numPages } = rowsBatch(rows, seed);
  const { kernel, ...choices } = tuning;
  const { weight, x, out, norm, bias, accumulate } = call;
  const traits = [norm && 'norm', bias && 'bias', accumulate && 'accumulate', isGated(call) && call.epilogue];
  const shape = [
    `${weight.format} ${weight.cols}→${weight.rows} rows ${rows} ${x.type}`,
    ...traits.filter((trait) => trait),
  ];
  return {
    label: `linear ${shape.join(' ')} ${kernel} ${Object.values(choices).map(choiceName).join(' ')}`,
    calls: [call],
    batch,
    bucket: { minRows, maxRows: rows },
    contextLength: 128,
    numPages,
    kvType: 'f32',
    tuning: { linear: () => tuning },
    needs: [
      ...(usesCodes(tuning) ? ['dot4' as const] : []),
      ...(tuning.kernel === 'gemv' && tuning.reduction === 'subgroup' ? ['subgroups' as const] : []),
    ],
    outputs: [{ tensor: out, budget: x.type === 'f16' || out.type === 'f16' ? 1e-6 : 1e-9 }],
  };
}

/** Of a value of a tuning. */
function choiceName(value: unknown): string {
  return typeof value === 'object' && value !== null ? Object.values(value).join('×') : String(value);
}

/**
 * A call made small, to run with one of its tunings: what an autotuner tries before it times a variant. Widths end as the call's own
 * do within a sweep; of its outputs there are as many as fill one tile and a bit.
 */
export function linearTuningCase(
  call: LinearCall,
  rowTile: LinearRowTile,
  tuning: LinearTuning,
  seed: number,
): OpCase<LinearCall> {
  const { weight, x, out, norm, bias } = call;
  const cols = weight.cols > 4096 ? 2048 + (weight.cols % 1024) : weight.cols;
  const rows = Math.min(weight.rows, 132);
  const width = isGated(call) ? rows / 2 : rows;
  const small: LinearCall = {
    ...call,
    x: { ...x, name: 'x', cols, rows: 'step' },
    weight: { ...weight, name: 'weight', rows, cols },
    out: { ...out, name: 'out', cols: width, rows: 'step' },
    outColumn: 0,
    norm: norm && { ...norm, weight: { name: 'norm', length: cols } },
    bias: bias && { name: 'bias', length: rows },
  };
  return variantCase(small, tuning, seed, TRIED_ROWS[rowTile]);
}

interface Variant {
  readonly format: WeightFormat;
  readonly cols: number;
  readonly outs: number;
  readonly tile: LinearRowTile;
  readonly type?: ActivationType;
  readonly normed?: 'swiglu' | 'none';
  /** Other than those that the tile is tried with, and the fewest that its kernels are made for. */
  readonly rows?: number;
  readonly minRows?: number;
  readonly with?: readonly ('bias' | 'accumulate' | 'softcap')[];
  /** See OpCase: the weight lies in parts of 64 rows and a rest. */
  readonly inParts?: boolean;
  readonly tuning: LinearTuning;
}

function gemv(
  x: GemvTuning['x'],
  workgroupSize: number,
  outputsPerLane: number,
  splitK: GemvTuning['splitK'],
  reduction: Reduction,
  unrolled = false,
): GemvTuning {
  return { kernel: 'gemv', x, splitK, arithmetic: 'float', reduction, workgroupSize, outputsPerLane, unrolled };
}

function dot4(
  workgroupSize: number,
  outputsPerLane: number,
  splitK: GemvTuning['splitK'],
  reduction: Reduction,
  unrolled = false,
): GemvTuning {
  return {
    kernel: 'gemv',
    x: 'staged',
    splitK,
    arithmetic: 'dot4',
    reduction,
    workgroupSize,
    outputsPerLane,
    unrolled,
  };
}

function gemm(
  tileRows: GemmTuning['tileRows'],
  rowsPerLane: GemmTuning['rowsPerLane'],
  kStep: GemmTuning['kStep'],
  tileType: GemmTuning['tileType'],
  { unrolled = false, splitTo = 0 }: Partial<Pick<GemmTuning, 'unrolled' | 'splitTo'>> = {},
): GemmTuning {
  return { kernel: 'gemm', tileRows, rowsPerLane, kStep, tileType, unrolled, splitTo };
}

/** Three shares for the room that is left, two of unequal width, and none in a step that fills the grid. */
const SPLIT: readonly Variant[] = [
  {
    format: 'q4_0',
    cols: 1056,
    outs: 330,
    tile: 'many',
    with: ['bias', 'accumulate'],
    tuning: gemm(32, 4, 32, 'f32', { splitTo: 64 }),
  },
  {
    format: 'q8_0',
    cols: 544,
    outs: 37,
    tile: 48,
    rows: 17,
    type: 'f16',
    with: ['bias', 'softcap'],
    tuning: gemm(32, 4, 16, 'f16', { splitTo: 256 }),
  },
  {
    format: 'q4_0',
    cols: 544,
    outs: 100,
    tile: 48,
    rows: 23,
    with: ['accumulate'],
    inParts: true,
    tuning: gemm(32, 4, 32, 'f32', { splitTo: 64 }),
  },
  {
    format: 'q4_0',
    cols: 512,
    outs: 704,
    tile: 'many',
    minRows: 17,
    with: ['bias'],
    tuning: gemm(32, 4, 32, 'f32', { splitTo: 64 }),
  },
];

/** Vectors of 16 values and of 32, with an offset and without; four rows a lane and eight. */
const CODES: readonly Variant[] = [
  {
    format: 'q8_0',
    cols: 544,
    outs: 70,
    tile: 'many',
    type: 'f16',
    with: ['bias', 'accumulate'],
    tuning: gemm(64, 8, 32, 'i8', { splitTo: 64 }),
  },
  { format: 'q6_k', cols: 256, outs: 37, tile: 48, rows: 17, type: 'f16', tuning: gemm(32, 4, 32, 'i8') },
  { format: 'q4_0', cols: 96, outs: 70, tile: 48, type: 'f16', tuning: gemm(64, 4, 32, 'i8') },
];

/** Each way through each kernel that defaults on a software adapter leave out, those of GPUs among them. */
const VARIANTS: readonly Variant[] = [
  { format: 'q4_0', cols: 1056, outs: 38, tile: 1, normed: 'swiglu', tuning: gemv('staged', 64, 2, 4, 'subgroup') },
  { format: 'q8_0', cols: 800, outs: 37, tile: 4, normed: 'none', tuning: gemv('staged', 128, 1, 2, 'workgroup') },
  { format: 'q4_k', cols: 768, outs: 37, tile: 16, normed: 'none', tuning: gemv('staged', 128, 2, 1, 'workgroup') },
  { format: 'q4_0', cols: 800, outs: 37, tile: 16, normed: 'none', tuning: gemv('staged', 128, 2, 2, 'subgroup') },
  {
    format: 'q6_k',
    cols: 1280,
    outs: 13,
    tile: 1,
    normed: 'none',
    tuning: gemv('direct', 128, 1, 4, 'workgroup', true),
  },
  { format: 'q4_0', cols: 2080, outs: 38, tile: 4, type: 'f16', tuning: gemv('direct', 256, 2, 8, 'workgroup') },
  { format: 'f32', cols: 172, outs: 37, tile: 16, tuning: gemv('direct', 128, 4, 1, 'subgroup') },
  {
    format: 'q4_0',
    cols: 1056,
    outs: 38,
    tile: 1,
    type: 'f16',
    normed: 'swiglu',
    tuning: dot4(64, 2, 2, 'subgroup', true),
  },
  { format: 'q8_0', cols: 800, outs: 37, tile: 4, type: 'f16', tuning: dot4(128, 1, 1, 'workgroup') },
  { format: 'q6_k', cols: 768, outs: 37, tile: 16, type: 'f16', normed: 'none', tuning: dot4(128, 2, 2, 'workgroup') },
  { format: 'q4_0', cols: 288, outs: 70, tile: 48, tuning: gemm(32, 4, 32, 'f32') },
  { format: 'f32', cols: 172, outs: 70, tile: 'many', tuning: gemm(64, 8, 32, 'f32') },
  { format: 'q4_k', cols: 256, outs: 70, tile: 'many', tuning: gemm(128, 8, 16, 'f32', { unrolled: true }) },
  { format: 'bf16', cols: 172, outs: 70, tile: 'many', type: 'f16', tuning: gemm(128, 8, 32, 'f16') },
  { format: 'q6_k', cols: 512, outs: 70, tile: 'many', type: 'f16', tuning: gemm(64, 8, 16, 'f16') },
  ...SPLIT,
  ...CODES,
];

export function linearVariantCases(seed: number): readonly OpCase<LinearCall>[] {
  return VARIANTS.map((variant, i) => {
    const { format, cols, outs, tile, type = 'f32', normed, with: extras = [], tuning } = variant;
    const { rows = TRIED_ROWS[tile], minRows, inParts = false } = variant;
    const gated = normed === 'swiglu';
    const call: LinearCall = {
      op: 'linear',
      x: { name: 'x', cols, rows: 'step', type },
      weight: { name: 'weight', format, rows: outs, cols },
      out: { name: 'out', cols: gated ? outs / 2 : outs, rows: 'step', type },
      outColumn: 0,
      norm: normed && { weight: { name: 'norm', length: cols }, eps: 1e-5 },
      bias: extras.includes('bias') ? { name: 'bias', length: outs } : undefined,
      accumulate: extras.includes('accumulate'),
      epilogue: gated ? 'swiglu' : 'none',
      softcap: extras.includes('softcap') ? 20 : undefined,
    };
    const opCase = variantCase(call, tuning, seed + i, rows, minRows);
    return inParts ? { ...opCase, maxBindingBytes: planeBytes(format, 64, cols).quants } : opCase;
  });
}
