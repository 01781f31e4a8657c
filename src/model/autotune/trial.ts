import type { LinearCall } from '../../ops/calls';
import { isGated } from '../../ops/linear/epilogue';
import { MAX_GEMV_ROWS } from '../../ops/linear/gemv';
import { linearOp } from '../../ops/linear/linear';
import type { Activation, Weight } from '../../ops/op';
import type { StepShape } from '../../ops/step_layout';
import type { LinearTuning } from '../../ops/tuning';
import { decodeFloats, encodeFloats, normalisedError } from '../case_runner';
import { normals, seededRandom } from '../random';
import { describeStep } from '../step_encoder';
import { allocatePlans, type PreparedPlan } from '../webgpu_executor';
import {
  decodeRows,
  noReference,
  plainSegment,
  readVector,
  type TrialBench,
  timePlan,
  writeSegment,
  writtenBy,
} from './bench';
import { singleRowKey, type TuningJob } from './jobs';

/** Layers that are run in turn, so that their weights come from memory and not from a cache. */
const MAX_CALLS = 8;
/** Output columns that are held against the reference. */
const CHECKED_COLUMNS = 16;
/** The job's calls with each of the tunings, ready to be compiled. */
export async function allocateTrials(
  bench: TrialBench,
  job: TuningJob,
  tunings: readonly LinearTuning[],
): Promise<PreparedPlan[]> {
  const { gpu, tensors, target } = bench;
  const single = singleRowKey(job);
  // The single row's choice says in which order the other small tiles add up.
  const keys = new Set([job.key, ...(single === undefined ? [] : [single])]);
  const bucket = { minRows: job.rows, maxRows: job.rows };
  const calls = job.calls.slice(0, MAX_CALLS);
  return allocatePlans(
    gpu,
    tensors,
    tunings.map((tuning) => ({
      calls,
      target: { ...target, bucket, tuning: { linear: (key: string) => (keys.has(key) ? tuning : undefined) } },
    })),
  );
}

/** What results are added to. */
const BEFORE = 1;

/** Knows what every tuning of a job must compute: some columns by the reference in f64, all of them by the tuning that came first. */
export class Judge {
  /** [rows][outputs] */
  #accepted: Float32Array | undefined;

  private constructor(
    private readonly bench: TrialBench,
    private readonly job: TuningJob,
    private readonly columns: readonly number[],
    /** [rows][columns] */
    private readonly expected: Float32Array,
  ) {}

  /** Fills the input of the job's first call with random values and computes some columns of its output. */
  static async create(bench: TrialBench, job: TuningJob, seed: number): Promise<Judge> {
    const [call] = job.calls;
    const random = seededRandom(seed);
    for (const tensor of [call.x, call.out]) {
      await bench.tensors.ensure({ kind: 'activation', tensor, access: 'write' });
    }
    const outputs = outputsOf(call);
    const count = Math.min(CHECKED_COLUMNS, Math.floor(bench.maxRows / 2));
    const columns = Array.from({ length: count }, (_, i) =>
      i === 0 ? 0 : i === 1 ? outputs - 1 : Math.floor(random() * outputs),
    );
    const weightRows = [...columns, ...(isGated(call) ? columns.map((column) => column + outputs) : [])];
    const decoded = await decodeRows(bench, call.weight, call.x, weightRows);
    const values = normals(job.rows * call.x.cols, random);
    const bytes = encodeFloats(values, call.x.type);
    bench.gpu.device.queue.writeBuffer(bench.tensors.activation(call.x), 0, bytes);
    const stored = decodeFloats(bytes, call.x.type, values.length);
    const expected = await referenceColumns(bench, job, weightRows, decoded, stored);
    return new Judge(bench, job, columns, expected);
  }

  /**
   * Runs the plan's first call and says whether its output is right: with all rows, unless they are many, and with a few less, which fill no
   * tile. Nothing else may be written, and where the order of sums is promised a row's bits must not depend on the number of rows.
   */
  async accepts(plan: PreparedPlan): Promise<boolean> {
    const { rows, partialRows } = this.job;
    const counts = new Set(rows > MAX_GEMV_ROWS ? [partialRows] : [rows, partialRows]);
    let first: Float32Array | undefined;
    for (const count of counts) {
      const values = await this.#run(plan, count);
      if (!values || !this.#isRight(values)) return false;
      if (first && values.some((value, i) => value !== first?.[i])) return false;
      first ??= values;
    }
    this.#accepted ??= first;
    return true;
  }

  /** What the first call writes in a step of `rows` rows: [rows][outputs]. Undefined when it left any of that out, or wrote elsewhere. */
  async #run(plan: PreparedPlan, rows: number): Promise<Float32Array | undefined> {
    const { bench, job } = this;
    const [call] = job.calls;
    const { out, outColumn, accumulate } = call;
    const columns = { from: outColumn, to: outColumn + outputsOf(call) };
    return writtenBy(bench, plan, writeRows(bench, job, rows), {
      out,
      rows,
      columns,
      before: accumulate ? BEFORE : undefined,
    });
  }

  #isRight(values: Float32Array): boolean {
    const { columns, expected, job } = this;
    const [call] = job.calls;
    const outputs = outputsOf(call);
    const rows = values.length / outputs;
    const found = Float32Array.from({ length: rows * columns.length }, (_, i) => {
      const row = Math.floor(i / columns.length);
      return values[row * outputs + columns[i % columns.length]];
    });
    const budget = call.x.type === 'f16' || call.out.type === 'f16' ? 1e-6 : 1e-9;
    if (!(normalisedError(found, expected.subarray(0, found.length)) <= budget)) return false;
    const accepted = this.#accepted?.subarray(0, values.length);
    return !accepted || normalisedError(values, accepted) <= budget;
  }

  /** Milliseconds of the job's calls, once each. */
  time(plan: PreparedPlan): Promise<number> {
    return timePlan(this.bench, plan, writeRows(this.bench, this.job, this.job.rows));
  }
}

/** Columns that a call writes. */
function outputsOf(call: LinearCall): number {
  return isGated(call) ? call.weight.rows / 2 : call.weight.rows;
}

/** A step of so many rows; each is sampled where the output has a row for each sampled one. */
function writeRows(bench: TrialBench, { calls: [call] }: TuningJob, rows: number): StepShape {
  const tokens = Array.from({ length: rows }, () => 0);
  return writeSegment(bench, plainSegment(tokens, call.out.rows === 'sampled' ? 'all' : 'none'));
}

/** The job's first call on some rows of its weight, by the op's reference. */
async function referenceColumns(
  bench: TrialBench,
  { rows, calls: [call] }: TuningJob,
  weightRows: readonly number[],
  decoded: Float32Array,
  x: Float32Array,
): Promise<Float32Array> {
  const vectors = new Map<string, Float32Array>();
  if (call.norm) vectors.set(call.norm.weight.name, await readVector(bench, call.norm.weight));
  const bias = call.bias && { name: `${call.bias.name} of some rows`, length: weightRows.length };
  if (call.bias && bias) {
    const all = await readVector(bench, call.bias);
    vectors.set(
      bias.name,
      Float32Array.from(weightRows, (row) => all[row]),
    );
  }
  const columns = isGated(call) ? weightRows.length / 2 : weightRows.length;
  const out: Activation = { ...call.out, name: 'some columns', cols: columns, rows: 'step' };
  const result = new Float32Array(rows * columns).fill(call.accumulate ? BEFORE : 0);
  const weight: Weight = { ...call.weight, rows: weightRows.length };
  const tokens = Array.from({ length: rows }, () => 0);
  linearOp.reference(
    { ...call, x: { ...call.x, rows: 'step' }, weight, out, outColumn: 0, bias },
    {
      ...noReference,
      batch: describeStep({ segments: [plainSegment(tokens)] }),
      activation: (tensor) => (tensor.name === out.name ? result : x),
      weightRow: (_, row) => decoded.subarray(row * weight.cols, (row + 1) * weight.cols),
      vector: (vector) => vectors.get(vector.name) ?? noReference.vector(vector),
    },
  );
  return result;
}
