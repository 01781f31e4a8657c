import type { WeightFormat } from '../../formats/weight_format';
import type { Capabilities } from '../../gpu/capabilities';
import type { LinearCall } from '../calls';
import { rowsBatch } from '../case_batch';
import { ACTIVATION_TYPES, type Activation, type ActivationType, type OpCase } from '../op';
import type { GemvTuning } from '../tuning';
import { type GemvRowTile, gemvOrders, isGemvTuning, linearTunings } from './tuning';

interface PairShape {
  /** Of the two weights, of which the first is the wider one. */
  readonly formats: readonly [WeightFormat, WeightFormat];
  readonly rows: number;
  readonly cols: number;
  readonly outs: readonly [number, number];
  readonly with?: readonly ('norm' | 'bias' | 'accumulate')[];
  readonly type?: ActivationType;
  readonly tuning?: GemvTuning;
}

const STAGED: Omit<GemvTuning, 'splitK'> = {
  kernel: 'gemv',
  arithmetic: 'float',
  reduction: 'workgroup',
  x: 'staged',
  workgroupSize: 64,
  outputsPerLane: 2,
  unrolled: false,
};

/**
 * Vectors of different and of equal size, each kernel and row tile, one binding too many for default limits (with a bias): then two
 * dispatches do it.
 */
const SHAPES: readonly PairShape[] = [
  { formats: ['q4_k', 'q6_k'], rows: 1, cols: 512, outs: [37, 10], with: ['norm'] },
  { formats: ['q8_0', 'q4_0'], rows: 3, cols: 800, outs: [70, 9], with: ['bias', 'accumulate'] },
  {
    formats: ['q4_k', 'q5_k'],
    rows: 13,
    cols: 768,
    outs: [20, 37],
    with: ['norm'],
    tuning: { ...STAGED, splitK: 1 },
  },
  { formats: ['q6_k', 'f16'], rows: 2, cols: 512, outs: [9, 7], tuning: { ...STAGED, splitK: 2, workgroupSize: 128 } },
  {
    formats: ['q4_k', 'q6_k'],
    rows: 5,
    cols: 768,
    outs: [37, 9],
    with: ['norm'],
    type: 'f16',
    tuning: { ...STAGED, splitK: 1, arithmetic: 'dot4' },
  },
];

function pairCase(
  { formats, rows, cols, outs, with: extras = [], type = 'f32', tuning }: PairShape,
  seed: number,
): OpCase<LinearCall> {
  const { batch, numPages } = rowsBatch(rows, seed);
  const out: Activation = { name: 'out', cols: outs[0] + outs[1], rows: 'step', type };
  const calls = formats.map(
    (format, i): LinearCall => ({
      op: 'linear',
      x: { name: 'x', cols, rows: 'step', type },
      weight: { name: `weight ${i}`, format, rows: outs[i], cols },
      out,
      outColumn: i === 0 ? 0 : outs[0],
      norm: extras.includes('norm') ? { weight: { name: 'norm', length: cols }, eps: 1e-5 } : undefined,
      bias: extras.includes('bias') ? { name: `bias ${i}`, length: outs[i] } : undefined,
      accumulate: extras.includes('accumulate'),
      epilogue: 'none',
    }),
  );
  const how = Object.values(tuning ?? {});
  return {
    label: `linear ${formats.join(' beside ')} ${cols}→${outs.join('+')} rows ${rows} ${[type, ...extras, ...how].join(' ')}`,
    calls,
    batch,
    bucket: { minRows: rows, maxRows: rows },
    contextLength: 128,
    numPages,
    kvType: 'f32',
    tuning: tuning && { linear: () => tuning },
    needs: [
      ...(tuning?.arithmetic === 'dot4' ? ['dot4' as const] : []),
      ...(tuning?.reduction === 'subgroup' ? ['subgroups' as const] : []),
    ],
    outputs: [{ tensor: out, budget: type === 'f16' ? 1e-6 : 1e-9 }],
  };
}

/** Two weights of different formats that write side by side, in one dispatch where the device has bindings for both. */
export function linearPairCases(seed: number): readonly OpCase<LinearCall>[] {
  return SHAPES.map((shape, i) => pairCase(shape, seed + i));
}

/** Of which real files make their Q, K and V: Q4_K_M and Q5_K_M. */
const PAIRS: readonly PairShape['formats'][] = [
  ['q4_k', 'q6_k'],
  ['q5_k', 'q6_k'],
];
const ROWS_OF_TILES: readonly (readonly [GemvRowTile, number])[] = [
  [1, 1],
  [4, 3],
  [16, 13],
];

/** One case for every tuning that two such weights can share on a device. */
export function linearPairSpaceCases(capabilities: Capabilities, seed: number): readonly OpCase<LinearCall>[] {
  const types = ACTIVATION_TYPES.filter((type) => type === 'f32' || capabilities.f16);
  return PAIRS.flatMap((formats) =>
    types.flatMap((type) =>
      ROWS_OF_TILES.flatMap(([tile, rows]) => {
        const shape: PairShape = { formats, rows, cols: 2304, outs: [74, 38], with: ['norm'], type };
        const [first, second] = pairCase(shape, seed).calls;
        return gemvOrders(first, capabilities)
          .flatMap((order) => linearTunings(first, tile, capabilities, order))
          .filter((tuning) => tuning.kernel === 'gemv' && isGemvTuning(second, tile, tuning, capabilities))
          .map((tuning) => pairCase({ ...shape, tuning: tuning as GemvTuning }, seed));
      }),
    ),
  );
}
