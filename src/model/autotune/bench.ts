import { GREEDY, type Segment } from '../../engine/runner';
import { InternalError, KernelError } from '../../errors';
import type { GpuDevice } from '../../gpu/device';
import type { OpCall } from '../../ops/calls';
import type { Activation, KernelTarget, ReferenceEnv, RowBucket, State, Vector, Weight } from '../../ops/op';
import { PAGE_SIZE, type StepShape } from '../../ops/step_layout';
import type { KernelTuning } from '../../ops/tuning';
import { decodeFloats, encodeFloats } from '../case_runner';
import type { GpuTensors } from '../gpu_tensors';
import { readBuffer } from '../read_buffer';
import type { StepEncoder } from '../step_encoder';
import { allocatePlans, type PreparedPlan, preparePlans } from '../webgpu_executor';

/** What a trial runs on: a model whose weights are in place. */
export interface TrialBench {
  readonly gpu: GpuDevice;
  readonly tensors: GpuTensors;
  readonly encoder: StepEncoder;
  readonly lastTokens: State;
  readonly maxRows: number;
  /** Of a plan that the calls are part of, without a tuning. */
  readonly target: Omit<KernelTarget, 'bucket' | 'tuning'>;
}

/** A run takes at least this long, so that submitting it does not count. */
const MIN_RUN_MS = 6;
const MAX_REPEATS = 256;
const RUNS = 3;

/** What a reference of a call that was taken out of its plan must not ask for. */
export const noReference: Omit<ReferenceEnv, 'batch' | 'activation'> = {
  weightRow: unavailable,
  vector: unavailable,
  kv: unavailable,
  cached: unavailable,
  state: unavailable,
};

function unavailable(): never {
  throw new InternalError('a trial has nothing but the inputs of its call');
}

/** Segment 0 of slot 0, chosen greedily, as the next step. */
export function trialSegment(rows: Pick<Segment, 'tokens' | 'position' | 'pages' | 'sample'>): Segment {
  // Few enough pages for the smaller pool too.
  return { slot: 0, sampling: GREEDY, slidingPages: rows.pages, ...rows };
}

/** Writes a step of one segment. */
export function writeSegment({ gpu, tensors, encoder }: TrialBench, segment: Segment): StepShape {
  const { words, shape } = encoder.encode({ segments: [segment] });
  gpu.device.queue.writeBuffer(tensors.step, 0, words);
  return shape;
}

/** A segment of these tokens from position 0 on. */
export function plainSegment(tokens: readonly number[], sample: 'all' | 'none' = 'none'): Segment {
  const pages = Array.from({ length: Math.ceil(tokens.length / PAGE_SIZE) }, (_, page) => page);
  return trialSegment({ tokens, position: 0, pages, sample });
}

/** Rows of a weight as the embedding kernel reads them, which shares nothing with the matmuls but the block format. Overwrites `into`. */
export async function decodeRows(
  bench: TrialBench,
  weight: Weight,
  into: Activation,
  rows: readonly number[],
): Promise<Float32Array> {
  const { gpu, tensors, target, lastTokens, maxRows } = bench;
  const { cols } = weight;
  const out: Activation = { ...into, cols, rows: 'step' };
  const decoded = new Float32Array(rows.length * cols);
  const atOnce = Math.min(maxRows, rows.length);
  const [plan] = await preparePlans(gpu, tensors, [
    {
      calls: [{ op: 'embed', table: weight, lastTokens, out, scale: 1 }],
      target: { ...target, bucket: { minRows: 1, maxRows: atOnce } },
    },
  ]);
  for (let first = 0; first < rows.length; first += atOnce) {
    const some = rows.slice(first, first + atOnce);
    await runOnce(bench, plan, writeSegment(bench, plainSegment(some)));
    const size = some.length * cols;
    const bytes = out.type === 'f16' ? Math.ceil(size / 2) * 4 : size * 4;
    const values = decodeFloats(await readBuffer(gpu, tensors.activation(out), 0, bytes), out.type, size);
    decoded.set(values, first * cols);
  }
  return decoded;
}

/** Runs a plan, or one call of it, once; inside error scopes. */
async function runOnce({ gpu }: TrialBench, plan: PreparedPlan, shape: StepShape, call?: number): Promise<void> {
  await gpu.checked('tuning check', () => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    plan.encode(pass, shape, call);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
  });
}

/** What an output holds before a call writes it: a number that both types have, and no result is likely to be. */
const UNWRITTEN = 12344;
/** Rows behind the step's that are looked at. */
const ROWS_BEHIND = 4;

/** Where a call writes, and what is there before: absent where the call does not add to it. */
interface Written {
  readonly out: Activation;
  readonly rows: number;
  readonly columns: { readonly from: number; readonly to: number };
  readonly before?: number;
}

/** Runs a plan's first call and gives what it writes: [rows][columns]. Undefined when it leaves any of that out, or writes elsewhere. */
export async function writtenBy(
  bench: TrialBench,
  plan: PreparedPlan,
  shape: StepShape,
  { out, rows, columns, before = UNWRITTEN }: Written,
): Promise<Float32Array | undefined> {
  const { gpu, tensors } = bench;
  const { from, to } = columns;
  const buffer = tensors.activation(out);
  const elementBytes = out.type === 'f16' ? 2 : 4;
  const count = Math.min(Math.floor(buffer.size / elementBytes / out.cols), rows + ROWS_BEHIND) * out.cols;
  gpu.device.queue.writeBuffer(buffer, 0, encodeFloats(new Float32Array(count).fill(before), out.type));
  await runOnce(bench, plan, shape, 0);
  const bytes = Math.ceil((count * elementBytes) / 4) * 4;
  const found = decodeFloats(await readBuffer(gpu, buffer, 0, bytes), out.type, count);
  const values = new Float32Array(rows * (to - from));
  for (let row = 0; row * out.cols < count; row++) {
    const all = found.subarray(row * out.cols, (row + 1) * out.cols);
    const written = row < rows ? all.subarray(from, to) : all.subarray(0, 0);
    if (row < rows) values.set(written, row * (to - from));
    const besides = row < rows ? [all.subarray(0, from), all.subarray(to)] : [all];
    if (besides.some((part) => part.some((value) => value !== before))) return undefined;
    if (before === UNWRITTEN && written.includes(UNWRITTEN)) return undefined;
  }
  return values;
}

export async function readVector({ gpu, tensors }: TrialBench, vector: Vector): Promise<Float32Array> {
  return new Float32Array(
    await readBuffer(gpu, tensors.buffer({ kind: 'vector', tensor: vector }), 0, vector.length * 4),
  );
}

/** Whether a plan compiles. A driver that cannot compile a variant rules out that variant; anything else is the caller's to know. */
export async function compiles(plan: PreparedPlan): Promise<boolean> {
  try {
    await plan.prepare();
    return true;
  } catch (error) {
    if (error instanceof KernelError) return false;
    throw error;
  }
}

/** Milliseconds of a plan's calls, once each. The best of several runs: whatever disturbs a run makes it longer. */
export async function timePlan({ gpu }: TrialBench, plan: PreparedPlan, shape: StepShape): Promise<number> {
  const run = async (repeats: number): Promise<number> => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < repeats; i++) plan.encode(pass, shape);
    pass.end();
    const commands = encoder.finish();
    const start = performance.now();
    gpu.device.queue.submit([commands]);
    await gpu.device.queue.onSubmittedWorkDone().catch(async (cause: unknown) => {
      throw await gpu.explain('tuning', cause);
    });
    gpu.throwIfFaulted();
    return performance.now() - start;
  };
  await run(1);
  let repeats = 1;
  let ms = await run(repeats);
  while (ms < MIN_RUN_MS && repeats < MAX_REPEATS) {
    const factor = Math.min(16, (1.5 * MIN_RUN_MS) / Math.max(ms, 0.05));
    repeats = Math.min(MAX_REPEATS, Math.ceil(repeats * factor));
    ms = await run(repeats);
  }
  for (let i = 1; i < RUNS; i++) ms = Math.min(ms, await run(repeats));
  return ms / repeats;
}

/** Says of a job's plans whether they are right, and times them. */
interface Trial {
  accepts(plan: PreparedPlan): Promise<boolean>;
  time(plan: PreparedPlan): Promise<number>;
}

/** Milliseconds of a job's calls with each tuning, or 'wrong' for one that does not compile or that the trial, made when all buffers are there, rejects. */
export async function measureTrials(
  { gpu, tensors, target }: TrialBench,
  { calls, bucket }: { readonly calls: readonly OpCall[]; readonly bucket: RowBucket },
  tunings: readonly KernelTuning[],
  prepare: () => Promise<Trial>,
): Promise<(number | 'wrong')[]> {
  const plans = await allocatePlans(
    gpu,
    tensors,
    tunings.map((tuning) => ({ calls, target: { ...target, bucket, tuning } })),
  );
  const compiled = await Promise.all(plans.map(compiles));
  const trial = await prepare();
  const times: (number | 'wrong')[] = [];
  for (const [i, plan] of plans.entries()) {
    times.push(compiled[i] && (await trial.accepts(plan)) ? await trial.time(plan) : 'wrong');
  }
  return times;
}
