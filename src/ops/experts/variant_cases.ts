/** Cases that run the expert kernels as tuned, not as by default. */
import { wholeBlocks } from '../../formats/row_bytes';
import { WEIGHT_FORMATS } from '../../formats/weight_format';
import type { Capabilities } from '../../gpu/capabilities';
import type { ExpertLinearCall } from '../calls';
import { ACTIVATION_TYPES, type OpCase } from '../op';
import type { ExpertGemmTuning, ExpertGemvTuning, ExpertTuning } from '../tuning';
import { type ExpertShapes, expertLinearCase } from './cases';
import { expertTunings } from './tuning';

function gemv(
  block: ExpertGemvTuning['block'],
  outputsPerLane: ExpertGemvTuning['outputsPerLane'],
  slots: ExpertGemvTuning['slots'],
  splitK: ExpertGemvTuning['splitK'],
  reduction: ExpertGemvTuning['reduction'],
): ExpertGemvTuning {
  return { kernel: 'expert_gemv', block, outputsPerLane, slots, splitK, reduction };
}

function gemm(
  tileRows: ExpertGemmTuning['tileRows'],
  rowsPerLane: ExpertGemmTuning['rowsPerLane'],
  kStep: ExpertGemmTuning['kStep'],
  tileType: ExpertGemmTuning['tileType'],
): ExpertGemmTuning {
  return { kernel: 'expert_gemm', tileRows, rowsPerLane, kStep, tileType };
}

const COMBINED: ExpertShapes['with'] = ['combine', 'accumulate'];

/** Wide enough for every splitK, and not in whole sweeps. */
const FEW: ExpertShapes = {
  format: 'q4_0',
  rows: 3,
  experts: 4,
  topK: 2,
  cols: 2080,
  outs: 38,
  epilogue: 'swiglu',
  with: ['norm'],
};
const FEW_COMBINED: ExpertShapes = {
  format: 'f32',
  rows: 3,
  experts: 6,
  topK: 5,
  cols: 2080,
  outs: 19,
  with: COMBINED,
};
const MANY: ExpertShapes = {
  format: 'q4_0',
  rows: 70,
  experts: 3,
  topK: 2,
  cols: 288,
  outs: 70,
  with: ['slots', 'bias'],
  tileRows: 64,
};
const MANY_IN_HALVES: ExpertShapes = {
  format: 'q4_k',
  rows: 50,
  experts: 20,
  topK: 6,
  cols: 256,
  outs: 66,
  epilogue: 'swiglu',
  type: 'f16',
  tileRows: 64,
};

/** Each way through both kernels that the defaults leave out. */
const VARIANTS: readonly (readonly [ExpertShapes, ExpertTuning])[] = [
  [{ ...FEW, cols: 1056 }, gemv(128, 4, 1, 4, 'subgroup')],
  [{ ...FEW_COMBINED, format: 'q8_0', cols: 544 }, gemv(64, 1, 2, 2, 'workgroup')],
  [{ ...FEW_COMBINED, cols: 1060, with: ['slots', 'norm'] }, gemv(256, 2, 1, 4, 'workgroup')],
  [{ ...FEW_COMBINED, format: 'q6_k', cols: 512 }, gemv(64, 4, 4, 2, 'subgroup')],
  [{ ...MANY, format: 'f32', cols: 172 }, gemm(32, 8, 16, 'f32')],
  [{ ...MANY, epilogue: 'swiglu', with: ['bias'] }, gemm(64, 8, 32, 'f32')],
  [{ ...MANY, format: 'mxfp4', cols: 96, tileRows: 32 }, gemm(32, 4, 16, 'f32')],
  [MANY_IN_HALVES, gemm(32, 2, 32, 'f16')],
];

export function expertVariantCases(seed: number): readonly OpCase[] {
  return VARIANTS.map(([shape, tuning], i) => expertLinearCase(shape, seed + i, tuning));
}

/** Every tuning that the expert kernels can run with on a device, each on a small call. */
export function expertTuningCases(capabilities: Capabilities, seed: number): readonly OpCase[] {
  return [FEW, FEW_COMBINED, MANY, MANY_IN_HALVES].flatMap((shape, i) => tunedCases(shape, capabilities, seed + i));
}

/** The same in every weight format, with every type of activations. */
export function expertSpaceCases(capabilities: Capabilities, seed: number): readonly OpCase[] {
  const types = ACTIVATION_TYPES.filter((type) => type === 'f32' || capabilities.f16);
  return WEIGHT_FORMATS.flatMap((format) =>
    types.flatMap((type) =>
      [FEW, FEW_COMBINED, MANY].flatMap((shape) =>
        tunedCases({ ...shape, format, type, cols: wholeBlocks(format, shape.cols) }, capabilities, seed),
      ),
    ),
  );
}

function tunedCases(shape: ExpertShapes, capabilities: Capabilities, seed: number): readonly OpCase[] {
  const { calls } = expertLinearCase(shape, seed);
  const call = calls.find(({ op }) => op === 'expert_linear') as ExpertLinearCall;
  return expertTunings(call, capabilities).map((tuning) => expertLinearCase(shape, seed, tuning));
}
