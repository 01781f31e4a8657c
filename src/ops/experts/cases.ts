import type { WeightFormat } from '../../formats/weight_format';
import type { ExpertLinearCall, ExpertSumCall, GateRowsCall, GroupExpertsCall, RouteCall } from '../calls';
import { caseBatch } from '../case_batch';
import type { Activation, ActivationType, OpCase } from '../op';
import type { ExpertTuning } from '../tuning';
import { planeBytes } from '../weights/layout';
import { expertGroups } from './groups';

type ExpertCall = RouteCall | GroupExpertsCall | ExpertLinearCall | ExpertSumCall | GateRowsCall;

function step(name: string, cols: number, type: ActivationType = 'f32'): Activation {
  return { name, cols, rows: 'step', type };
}

function expertCase(
  label: string,
  calls: readonly ExpertCall[],
  rows: number,
  seed: number,
  output: OpCase['outputs'][number],
  more: Partial<OpCase<ExpertCall>> = {},
): OpCase<ExpertCall> {
  const { batch, numPages } = caseBatch([{ position: 0, rows }], seed);
  return {
    label: `${label} rows ${rows}`,
    calls,
    batch,
    bucket: { minRows: rows, maxRows: rows },
    contextLength: 128,
    numPages,
    kvType: 'f32',
    outputs: [output],
    ...more,
  };
}

/** Each scoring with and without normalisation; more experts than lanes; ties; as many chosen as there are. */
function routeCases(seed: number): OpCase<ExpertCall>[] {
  const shapes = [
    { rows: 3, experts: 8, topK: 2, scoring: 'softmax', normalise: true, scale: 1 },
    { rows: 1, experts: 60, topK: 4, scoring: 'softmax', normalise: false, scale: 1, columns: 61 },
    { rows: 17, experts: 130, topK: 8, scoring: 'softmax', normalise: true, scale: 2.5, scaled: true },
    { rows: 2, experts: 5, topK: 5, scoring: 'sigmoid', normalise: true, scale: 1 },
    { rows: 4, experts: 70, topK: 3, scoring: 'sigmoid', normalise: false, scale: 0.5, ties: true },
  ] as const;
  return shapes.map((shape, i) => {
    const { rows, experts, topK, scoring, normalise, scale } = shape;
    const logits = step('logits', 'columns' in shape ? shape.columns : experts);
    const out = step('routing', 2 * topK);
    const ties = 'ties' in shape;
    const expertScale = 'scaled' in shape ? { name: 'expert_scale', length: experts } : undefined;
    return expertCase(
      `route ${experts}→${topK} ${scoring}${normalise ? ' normalised' : ''}${ties ? ' ties' : ''}${expertScale ? ' scaled' : ''}`,
      [{ op: 'route', logits, experts, out, scoring, normalise, scale, expertScale }],
      rows,
      seed + i,
      { tensor: out, budget: 1e-9 },
      ties ? { inputs: { logits: Float32Array.from({ length: rows * experts }, (_, at) => (at * 7) % 3) } } : {},
    );
  });
}

/** What an expert_linear case is made of. */
export interface ExpertShapes {
  readonly format: WeightFormat;
  readonly rows: number;
  readonly experts: number;
  readonly topK: number;
  readonly cols: number;
  /** Rows of an expert. */
  readonly outs: number;
  readonly epilogue?: ExpertLinearCall['epilogue'];
  readonly with?: readonly ('norm' | 'bias' | 'combine' | 'accumulate' | 'slots' | 'column' | 'beyond halves')[];
  readonly type?: ActivationType;
  /** Rows of a part of the weight. */
  readonly partRows?: number;
  readonly tileRows?: 32 | 64;
}

/** Both kernels: epilogues, biases, widths that fill no block, sweep or tile; parts of whole experts and parts that cut them. */
const SHAPES: readonly ExpertShapes[] = [
  { format: 'f32', rows: 3, experts: 8, topK: 3, cols: 64, outs: 38, epilogue: 'swiglu', with: ['norm'] },
  { format: 'q4_0', rows: 1, experts: 4, topK: 2, cols: 288, outs: 36, epilogue: 'geglu', with: ['norm', 'bias'] },
  { format: 'mxfp4', rows: 2, experts: 4, topK: 2, cols: 96, outs: 26, epilogue: 'swiglu_clamped', with: ['bias'] },
  { format: 'mxfp4', rows: 5, experts: 6, topK: 4, cols: 96, outs: 21, with: ['combine', 'accumulate', 'bias'] },
  { format: 'q8_0', rows: 2, experts: 2, topK: 2, cols: 64, outs: 66, with: ['combine', 'bias'], partRows: 64 },
  { format: 'q8_0', rows: 2, experts: 3, topK: 2, cols: 64, outs: 30, epilogue: 'swiglu', partRows: 70 },
  { format: 'q4_k', rows: 3, experts: 3, topK: 2, cols: 256, outs: 9, with: ['column', 'beyond halves'], type: 'f16' },
  { format: 'q6_k', rows: 1, experts: 3, topK: 2, cols: 512, outs: 7, with: ['combine', 'accumulate'] },
  { format: 'f16', rows: 1, experts: 2, topK: 1, cols: 2308, outs: 6, with: ['norm'] },
  { format: 'q5_1', rows: 16, experts: 2, topK: 2, cols: 32, outs: 2050, with: ['slots'] },
  { format: 'f32', rows: 40, experts: 8, topK: 3, cols: 64, outs: 38, epilogue: 'swiglu', tileRows: 32 },
  { format: 'f32', rows: 18, experts: 3, topK: 2, cols: 64, outs: 70, epilogue: 'geglu', tileRows: 32 },
  { format: 'mxfp4', rows: 33, experts: 4, topK: 2, cols: 96, outs: 130, epilogue: 'swiglu_clamped', with: ['bias'] },
  { format: 'q4_0', rows: 70, experts: 3, topK: 2, cols: 288, outs: 70, with: ['slots', 'bias'], tileRows: 64 },
  { format: 'q8_0', rows: 20, experts: 2, topK: 2, cols: 64, outs: 66, with: ['column'], partRows: 64 },
  {
    format: 'q4_k',
    rows: 50,
    experts: 20,
    topK: 6,
    cols: 256,
    outs: 66,
    with: ['beyond halves'],
    type: 'f16',
    tileRows: 64,
  },
];

/** Routing, the list of tiles in large steps, and the experts' matmul: as tuned, or as by default. */
export function expertLinearCase(shape: ExpertShapes, seed: number, tuning?: ExpertTuning): OpCase<ExpertCall> {
  const { format, rows, experts, topK, cols, outs, epilogue = 'none', type = 'f32', partRows, tileRows } = shape;
  const has = (extra: NonNullable<ExpertShapes['with']>[number]): boolean => shape.with?.includes(extra) ?? false;
  const combine = has('combine');
  const width = (epilogue === 'none' ? outs : outs / 2) * (combine ? 1 : topK);
  const logits = step('logits', experts);
  const routing = step('routing', 2 * topK);
  const out = step('out', width + (has('column') ? 9 : 0), type);
  const weight = { name: 'weight', format, rows: experts * outs, cols, stackRows: outs };
  const groups = rows > 16 ? expertGroups(rows, topK, experts, tileRows) : undefined;
  const linear: ExpertLinearCall = {
    op: 'expert_linear',
    x: step('x', has('slots') || combine ? topK * cols : cols, type),
    weight,
    experts,
    routing,
    groups,
    norm: has('norm') ? { weight: { name: 'norm', length: cols }, eps: 1e-5 } : undefined,
    bias: has('bias') ? { name: 'bias', length: weight.rows } : undefined,
    out,
    outColumn: has('column') ? 5 : 0,
    combine,
    accumulate: has('accumulate'),
    epilogue,
  };
  const extras = [epilogue, ...(shape.with ?? []), ...(partRows ? ['in parts'] : [])].filter((s) => s !== 'none');
  return expertCase(
    `expert_linear ${format} ${experts}→${topK} ${cols}→${outs} ${type}${extras.map((extra) => ` ${extra}`).join('')}${tuning ? ` ${Object.values(tuning).join(' ')}` : ''}`,
    [
      { op: 'route', logits, experts, out: routing, scoring: 'softmax', normalise: true, scale: 1 },
      ...(groups ? [{ op: 'group_experts', routing, experts, groups } as const] : []),
      linear,
    ],
    rows,
    seed,
    { tensor: out, budget: type === 'f16' ? 1e-6 : 1e-9 },
    {
      ...(tuning && { tuning: { linear: () => undefined, experts: () => tuning } }),
      ...(tuning?.kernel === 'expert_gemv' && tuning.reduction === 'subgroup' && { needs: ['subgroups'] }),
      maxBindingBytes: partRows && planeBytes(format, partRows, cols).quants,
      // The columns beside the written ones are compared too: what out held has to be known.
      inputs: {
        ...(has('column') && { out: new Float32Array(rows * out.cols).fill(3) }),
        ...(has('beyond halves') && {
          x: Float32Array.from({ length: rows * linear.x.cols }, (_, at) => 40 * (((at * 7919) % 1001) - 500)),
        }),
      },
    },
  );
}

function otherCases(seed: number): OpCase<ExpertCall>[] {
  const routing = step('routing', 6);
  const sums = step('out', 300);
  const gated = step('out', 70, 'f16');
  const groups = expertGroups(90, 3, 7);
  // Every third row sends all its pairs to two experts, experts 0 and 6 get none.
  const skewed = Float32Array.from({ length: 90 * 6 }, (_, at) => {
    const row = Math.floor(at / 6);
    return at % 6 >= 3 ? 1 / 3 : 1 + (((at % 6) + (row % 3 === 0 ? 0 : row)) % 5);
  });
  return [
    expertCase(
      'expert_sum 3×300',
      [{ op: 'expert_sum', x: step('x', 900), routing, out: sums, accumulate: true }],
      3,
      seed,
      { tensor: sums, budget: 1e-9 },
    ),
    expertCase(
      'gate_rows 70 f16',
      [{ op: 'gate_rows', out: gated, logits: step('logits', 3), column: 2 }],
      5,
      seed + 1,
      { tensor: gated, budget: 1e-6 },
    ),
    expertCase(
      'group_experts 7 skewed',
      [{ op: 'group_experts', routing, experts: 7, groups }],
      90,
      seed + 2,
      { tensor: groups.state, budget: 'exact' },
      { inputs: { routing: skewed } },
    ),
  ];
}

export function expertCases(seed: number): readonly OpCase<ExpertCall>[] {
  return [
    ...routeCases(seed),
    ...SHAPES.map((shape, i) => expertLinearCase(shape, seed + 100 + i)),
    ...otherCases(seed + 200),
  ];
}
