import type { Capabilities } from '../../gpu/capabilities';
import type { ExpertLinearCall } from '../../ops/calls';
import { expertLinearOp } from '../../ops/experts/expert_linear';
import { groupExpertsOp } from '../../ops/experts/group_experts';
import { shapeOf } from '../../ops/experts/shapes';
import { defaultExpertTuning, expertTuningKey, expertTunings } from '../../ops/experts/tuning';
import { MAX_GEMV_ROWS } from '../../ops/linear/gemv';
import type { RowBucket } from '../../ops/op';
import type { StepShape } from '../../ops/step_layout';
import type { ExpertTuning } from '../../ops/tuning';
import { decodeFloats, encodeFloats, normalisedError } from '../case_runner';
import { normals, seededRandom } from '../random';
import { describeStep } from '../step_encoder';
import type { PreparedPlan } from '../webgpu_executor';
import {
  decodeRows,
  measureTrials,
  noReference,
  plainSegment,
  readVector,
  type TrialBench,
  timePlan,
  writeSegment,
  writtenBy,
} from './bench';
import { beginningWith, type PlanOfBucket } from './jobs';

/** Calls of a plan that run the same kernel. */
export interface ExpertJob {
  readonly key: string;
  readonly kernel: 'few rows' | 'many rows';
  readonly bucket: RowBucket;
  readonly calls: readonly ExpertLinearCall[];
}

const MAX_CALLS = 8;
/** Rows that a small step is tried with, beside the one that is timed; how many less than the largest step a large one has. */
const FEW_ROWS = 5;
const ROWS_LESS = 5;
/** Output columns of each expert that are held against the reference. */
const CHECKED_COLUMNS = 4;
/** What results are added to. */
const BEFORE = 1;

/** What the experts of a model leave open: few rows first, then large steps. */
export function expertJobs(plans: readonly PlanOfBucket[], bench: Pick<TrialBench, 'maxRows'>): ExpertJob[] {
  return (['few rows', 'many rows'] as const).flatMap((kernel) => {
    const plan = plans.find(({ bucket }) => kernel === 'few rows' || bucket.minRows > MAX_GEMV_ROWS);
    if (!plan) return [];
    const found = new Map<string, ExpertLinearCall[]>();
    for (const call of plan.calls) {
      if (call.op !== 'expert_linear' || call.when) continue;
      const key = expertTuningKey(call);
      found.set(key, [...(found.get(key) ?? []), call]);
    }
    const maxRows = Math.min(kernel === 'few rows' ? FEW_ROWS : plan.bucket.maxRows, bench.maxRows);
    const bucket = { minRows: kernel === 'few rows' ? 1 : plan.bucket.minRows, maxRows };
    if (maxRows < bucket.minRows) return [];
    return [...found].map(([key, calls]) => ({ key, kernel, bucket, calls: calls.slice(0, MAX_CALLS) }));
  });
}

/** The default first. */
export function expertCandidates({ calls: [call] }: ExpertJob, capabilities: Capabilities): ExpertTuning[] {
  const first = defaultExpertTuning(call, capabilities);
  return beginningWith(first, expertTunings(call, capabilities));
}

/** Milliseconds of each tuning over the job's layers, or 'wrong' for one that computes something else than the reference. */
export async function measureExperts(
  bench: TrialBench,
  job: ExpertJob,
  candidates: readonly ExpertTuning[],
): Promise<(number | 'wrong')[]> {
  const tunings = candidates.map((tuning) => ({
    linear: () => undefined,
    experts: (asked: string) => (asked === job.key ? tuning : undefined),
  }));
  return measureTrials(bench, job, tunings, () => ExpertTrial.create(bench, job));
}

/** Random inputs and routing of a job's first call, and what it must compute of them. */
class ExpertTrial {
  /** [rows][outputs] */
  #accepted: Float32Array | undefined;

  private constructor(
    private readonly bench: TrialBench,
    private readonly job: ExpertJob,
    /** [rows][2·topK] */
    private readonly routing: Float32Array,
    private readonly columns: readonly number[],
    /** [rows][slots, or one where they are combined][columns] */
    private readonly expected: Float32Array,
  ) {}

  static async create(bench: TrialBench, job: ExpertJob): Promise<ExpertTrial> {
    const { bucket, calls } = job;
    const [call] = calls;
    const { x, routing, experts } = call;
    const { topK, width } = shapeOf(call);
    const { gpu, tensors } = bench;
    const random = seededRandom(3);
    const rows = bucket.maxRows;
    const chosen = new Float32Array(rows * routing.cols);
    for (let row = 0; row < rows; row++) {
      const order = Array.from({ length: experts }, (_, expert) => ({ expert, by: random() }));
      order.sort((a, b) => a.by - b.by);
      for (let slot = 0; slot < topK; slot++) {
        chosen[row * routing.cols + slot] = order[slot].expert;
        chosen[row * routing.cols + topK + slot] = (0.5 + random()) / topK;
      }
    }
    const columns = Array.from({ length: Math.min(CHECKED_COLUMNS, width) }, (_, i) =>
      i === 0 ? 0 : i === 1 ? width - 1 : Math.floor(random() * width),
    );
    const weightRow = await someRows(bench, call, columns, chosen);
    const bytes = encodeFloats(normals(rows * x.cols, random), x.type);
    gpu.device.queue.writeBuffer(tensors.activation(x), 0, bytes);
    const values = decodeFloats(bytes, x.type, rows * x.cols);
    // Kernels of large steps go by the list of tiles alone.
    if (!call.groups) gpu.device.queue.writeBuffer(tensors.activation(routing), 0, encodeFloats(chosen, 'f32'));
    const expected = await referenceOf(bench, call, columns, weightRow, { x: values, routing: chosen });
    return new ExpertTrial(bench, job, chosen, columns, expected);
  }

  /** Runs the plan's first call with few rows and one, or with less than the most, and says whether its output, and nothing else, is right. */
  async accepts(plan: PreparedPlan): Promise<boolean> {
    const { kernel, bucket, calls } = this.job;
    const { maxRows, minRows } = bucket;
    const counts = kernel === 'few rows' ? new Set([maxRows, 1]) : [Math.max(minRows, maxRows - ROWS_LESS)];
    const [{ out, outColumn, accumulate }] = calls;
    const to = outColumn + this.#outputs();
    let first: Float32Array | undefined;
    for (const rows of counts) {
      const written = { out, rows, columns: { from: outColumn, to }, before: accumulate ? BEFORE : undefined };
      const values = await writtenBy(this.bench, plan, this.#writeStep(rows), written);
      if (!values || !this.#isRight(values)) return false;
      // A row's bits do not depend on its neighbours.
      if (first && values.some((value, i) => value !== first?.[i])) return false;
      first ??= values;
    }
    this.#accepted ??= first;
    return true;
  }

  /** Milliseconds of the job's calls, once each: of one row, or of the most. */
  time(plan: PreparedPlan): Promise<number> {
    const { kernel, bucket } = this.job;
    return timePlan(this.bench, plan, this.#writeStep(kernel === 'few rows' ? 1 : bucket.maxRows));
  }

  /** Columns that the call writes. */
  #outputs(): number {
    const [call] = this.job.calls;
    const { topK, width } = shapeOf(call);
    return call.combine ? width : topK * width;
  }

  #isRight(values: Float32Array): boolean {
    const { columns, expected, job } = this;
    const [call] = job.calls;
    const { width } = shapeOf(call);
    const slots = values.length / width;
    const found = Float32Array.from({ length: slots * columns.length }, (_, i) => {
      return values[Math.floor(i / columns.length) * width + columns[i % columns.length]];
    });
    const budget = call.x.type === 'f16' || call.out.type === 'f16' ? 1e-6 : 1e-9;
    if (!(normalisedError(found, expected.subarray(0, found.length)) <= budget)) return false;
    const accepted = this.#accepted?.subarray(0, values.length);
    return !accepted || normalisedError(values, accepted) <= budget;
  }

  /** A step of so many rows, and its list of tiles where the kernel goes by one. */
  #writeStep(rows: number): StepShape {
    const { bench, job, routing } = this;
    const [{ groups, experts, routing: tensor }] = job.calls;
    if (groups) {
      const words = new Uint32Array(groups.state.words);
      const env = {
        ...noReference,
        batch: describeStep({ segments: [plainSegment(tokensOf(rows))] }),
        activation: () => routing.subarray(0, rows * tensor.cols),
        state: () => words,
      };
      groupExpertsOp.reference({ op: 'group_experts', routing: tensor, experts, groups }, env);
      bench.gpu.device.queue.writeBuffer(bench.tensors.state(groups.state), 0, words);
    }
    return writeSegment(bench, plainSegment(tokensOf(rows)));
  }
}

function tokensOf(rows: number): number[] {
  return Array.from({ length: rows }, () => 0);
}

/** Rows of an expert's matrix behind some output columns: gates first, then their up projections. */
function rowsOf(call: ExpertLinearCall, columns: readonly number[]): number[] {
  const { width } = shapeOf(call);
  return call.epilogue === 'none' ? [...columns] : [...columns, ...columns.map((column) => column + width)];
}

/** Those rows of the experts that are chosen, decoded: by expert and place among `rowsOf`. Overwrites x. */
async function someRows(
  bench: TrialBench,
  call: ExpertLinearCall,
  columns: readonly number[],
  routing: Float32Array,
): Promise<(expert: number, place: number) => Float32Array> {
  const { weight, x } = call;
  const { topK, outRows } = shapeOf(call);
  const rows = rowsOf(call, columns);
  const experts = [...new Set(routing.filter((_, at) => at % (2 * topK) < topK))];
  const decoded = await decodeRows(
    bench,
    weight,
    x,
    experts.flatMap((expert) => rows.map((row) => expert * outRows + row)),
  );
  const places = new Map(experts.map((expert, i) => [expert, i * rows.length]));
  return (expert, place) => {
    const at = (places.get(expert) ?? 0) + place;
    return decoded.subarray(at * weight.cols, (at + 1) * weight.cols);
  };
}

/** The call on some columns of every expert, by the op's reference. */
async function referenceOf(
  bench: TrialBench,
  call: ExpertLinearCall,
  columns: readonly number[],
  weightRow: (expert: number, place: number) => Float32Array,
  inputs: { readonly x: Float32Array; readonly routing: Float32Array },
): Promise<Float32Array> {
  const { x, weight, experts, norm, bias, combine, accumulate } = call;
  const { topK, outRows } = shapeOf(call);
  const rows = rowsOf(call, columns);
  const cols = combine ? columns.length : topK * columns.length;
  const out = { ...call.out, name: 'some columns', cols };
  const result = new Float32Array((inputs.x.length / x.cols) * cols).fill(accumulate ? BEFORE : 0);
  const vectors = new Map<string, Float32Array>();
  if (norm) vectors.set(norm.weight.name, await readVector(bench, norm.weight));
  const some = bias && { name: `${bias.name} of some rows`, length: experts * rows.length };
  if (bias && some) {
    const all = await readVector(bench, bias);
    const values = Array.from({ length: experts }, (_, expert) => rows.map((row) => all[expert * outRows + row]));
    vectors.set(some.name, Float32Array.from(values.flat()));
  }
  const small = { ...weight, rows: experts * rows.length, stackRows: rows.length };
  expertLinearOp.reference(
    { ...call, weight: small, out, outColumn: 0, bias: some, groups: undefined },
    {
      ...noReference,
      batch: describeStep({ segments: [plainSegment(tokensOf(inputs.x.length / x.cols))] }),
      activation: ({ name }) => (name === out.name ? result : name === x.name ? inputs.x : inputs.routing),
      weightRow: (_, row) => weightRow(Math.floor(row / rows.length), row % rows.length),
      vector: (vector) => vectors.get(vector.name) ?? noReference.vector(vector),
    },
  );
  return result;
}
