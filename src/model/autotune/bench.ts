import { GREEDY, type Segment } from '../../engine/runner';
import { InternalError, KernelError } from '../../errors';
import type { GpuDevice } from '../../gpu/device';
import type { KernelTarget, ReferenceEnv, State, Vector } from '../../ops/op';
import type { StepShape } from '../../ops/step_layout';
import type { GpuTensors } from '../gpu_tensors';
import { readBuffer } from '../read_buffer';
import type { StepEncoder } from '../step_encoder';
import type { PreparedPlan } from '../webgpu_executor';

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

/** Runs a plan, or one call of it, once; inside error scopes. */
export async function runOnce({ gpu }: TrialBench, plan: PreparedPlan, shape: StepShape, call?: number): Promise<void> {
  await gpu.checked('tuning check', () => {
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    plan.encode(pass, shape, call);
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
  });
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
