import type { Batch } from '../engine/runner';
import type { GpuDevice } from '../gpu/device';
import type { OpCall } from '../ops/calls';
import type { Activation } from '../ops/op';
import { normalisedError } from './case_runner';
import type { GpuTensors } from './gpu_tensors';
import { readBuffer } from './read_buffer';
import type { ReferenceExecutor } from './reference_executor';
import { describeStep, type StepEncoder } from './step_encoder';
import type { PreparedPlan } from './webgpu_executor';

/** How far the GPU is from the reference after one call of the plan, with errors of earlier calls included. */
export interface CallComparison {
  readonly index: number;
  readonly op: string;
  readonly tensor: string;
  /** Normalised mean squared error of the call's output. */
  readonly error: number;
}

export interface CompareParts {
  readonly gpu: GpuDevice;
  readonly tensors: GpuTensors;
  readonly plan: PreparedPlan;
  readonly encoder: StepEncoder;
  readonly reference: ReferenceExecutor;
}

function outputOf(call: OpCall): Activation | undefined {
  if (call.op === 'rope_kv') return call.q;
  return 'out' in call && 'cols' in call.out ? call.out : undefined;
}

/**
 * Runs one batch through a plan on both executors, call by call, and measures each call's output. Both sides start each call from
 * their own results, so the first call whose error leaps is the one that is off. KV caches and states keep what the batch wrote.
 */
export async function compareStep(parts: CompareParts, batch: Batch): Promise<CallComparison[]> {
  const { gpu, tensors, plan, encoder, reference } = parts;
  const step = describeStep(batch);
  const expected: (Float32Array | undefined)[] = [];
  reference.run(plan.calls, step, (call, index) => {
    const out = outputOf(call);
    if (out) expected[index] = reference.activation(out, step).slice();
  });
  const { words, shape } = encoder.encode(batch);
  gpu.device.queue.writeBuffer(tensors.step, 0, words);
  const comparisons: CallComparison[] = [];
  for (const [index, call] of plan.calls.entries()) {
    if (call.when && !shape.features?.includes(call.when)) continue;
    if (!plan.hasCall(index)) continue;
    await gpu.checked(`${call.op} (call ${index})`, () => {
      const commands = gpu.device.createCommandEncoder();
      const pass = commands.beginComputePass();
      plan.encode(pass, shape, index);
      pass.end();
      gpu.device.queue.submit([commands.finish()]);
    });
    const out = outputOf(call);
    if (!out || out.type !== 'f32') continue;
    const want = expected[index];
    if (!want || want.length === 0) continue;
    const bytes = await readBuffer(gpu, tensors.activation(out), 0, want.length * 4);
    comparisons.push({ index, op: call.op, tensor: out.name, error: normalisedError(new Float32Array(bytes), want) });
  }
  return comparisons;
}

/** The first call whose output is over `budget`, or undefined. */
export function firstOverBudget(comparisons: readonly CallComparison[], budget: number): CallComparison | undefined {
  return comparisons.find(({ error }) => !(error <= budget));
}
