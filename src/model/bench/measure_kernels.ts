/** Times single kernels of real shape, apart from any model (`tessera bench --kernels`). */
import { throwIfAborted } from '../../errors';
import type { AdapterDescription } from '../../gpu/capabilities';
import type { GpuDevice } from '../../gpu/device';
import { attentionBenches } from '../../ops/attention/bench';
import type { OpCall } from '../../ops/calls';
import { expertBenches } from '../../ops/experts/bench';
import type { KernelBench } from '../../ops/kernel_bench';
import { linearBenches } from '../../ops/linear/bench';
import { sampleBenches } from '../../ops/sample/bench';
import type { StepShape } from '../../ops/step_layout';
import { tensorsOf } from '../call_tensors';
import { caseCapacity, caseTarget } from '../case_target';
import { GpuTensors } from '../gpu_tensors';
import { RawRepacker } from '../raw_repacker';
import { stepCost } from '../step_cost';
import { StepEncoder, stepBufferWords } from '../step_encoder';
import { BlockFiller } from '../synthetic_weights';
import { type PreparedPlan, preparePlans } from '../webgpu_executor';
import { PassClock } from './pass_clock';
import type { LeftOut } from './report';
import { type Spread, spreadOf } from './statistics';

export interface KernelTime {
  readonly label: string;
  /** Of all dispatches of the call, once. */
  readonly ms: Spread;
  /** 10⁹ bytes a second that must be read or written by the kernels' own account. */
  readonly gbPerSecond: number;
  /** 10⁹ operations a second; 0 for kernels without products. */
  readonly gflops: number;
}

export interface KernelReport {
  readonly adapter: AdapterDescription;
  /** Where the times come from: the GPU's clock, or the wall's around a submit of many runs. */
  readonly clock: 'timestamps' | 'wall';
  readonly kernels: readonly KernelTime[];
  readonly leftOut: readonly LeftOut[];
}

export interface KernelBenchOptions {
  /** Only labels that contain all of these words. */
  readonly filter?: string;
  readonly repetitions: number;
  /** Of one kernel. */
  readonly maxSeconds: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (label: string) => void;
}

/** Runs are doubled until one pass takes this long. */
const PASS_MS = 20;
const MAX_RUNS = 4096;

/** `gpu`: a device that serves nobody else, with timestamps where there are some. A kernel that does not fit is left out with its reason. */
export async function measureKernels(gpu: GpuDevice, options: KernelBenchOptions): Promise<KernelReport> {
  const words = (options.filter ?? '').split(/\s+/).filter((word) => word !== '');
  const all: readonly KernelBench[] = [
    ...linearBenches(),
    ...expertBenches(),
    ...attentionBenches(),
    ...sampleBenches(),
  ];
  const kernels: KernelTime[] = [];
  const leftOut: LeftOut[] = [];
  const clock = await PassClock.create(gpu);
  try {
    for (const bench of all.filter(({ label }) => words.every((word) => label.includes(word)))) {
      throwIfAborted(options.signal);
      options.onProgress?.(bench.label);
      try {
        kernels.push(await measureKernel(gpu, clock, bench, options));
      } catch (error) {
        if (!(error instanceof Error) || error.name === 'AbortError') throw error;
        gpu.throwIfFaulted();
        leftOut.push({ what: bench.label, reason: error.message });
      }
    }
  } finally {
    clock.dispose();
  }
  return { adapter: gpu.capabilities.adapter, clock: clock.kind, kernels, leftOut };
}

async function measureKernel(
  gpu: GpuDevice,
  clock: PassClock,
  bench: KernelBench,
  { repetitions, maxSeconds, signal }: KernelBenchOptions,
): Promise<KernelTime> {
  const calls = bench.calls as readonly OpCall[];
  const capacity = caseCapacity({ ...bench, outputs: [] });
  const { maxRows, maxSampledRows } = capacity;
  const sizes = { maxRows, maxSampledRows, numPages: bench.numPages, kvType: bench.kvType };
  const tensors = await GpuTensors.create(gpu, { ...sizes, stepWords: stepBufferWords(capacity) });
  try {
    await fillInputs(gpu, tensors, calls);
    const target = caseTarget({ ...bench, outputs: [] }, gpu.capabilities, (weight) => tensors.weightParts(weight));
    const [plan] = await preparePlans(gpu, tensors, [{ calls, target }]);
    const { words, shape } = new StepEncoder(capacity).encode(bench.batch);
    gpu.device.queue.writeBuffer(tensors.step, 0, words);

    const pass = (runs: number): Promise<number> =>
      clock.time((encoder) => {
        for (let i = 0; i < runs; i++) plan.encode(encoder, shape);
      });
    await pass(1);
    let runs = 1;
    let took = await pass(runs);
    while (took < PASS_MS && runs < MAX_RUNS) {
      runs *= 2;
      took = await pass(runs);
    }
    const times = [took / runs];
    const started = performance.now();
    while (times.length < repetitions && performance.now() - started + took < maxSeconds * 1000) {
      throwIfAborted(signal);
      took = await pass(runs);
      times.push(took / runs);
    }
    return figures(bench, plan, shape, spreadOf(times));
  } finally {
    tensors.dispose();
  }
}

function figures(bench: KernelBench, plan: PreparedPlan, shape: StepShape, ms: Spread): KernelTime {
  const bytes = plan.describe(shape).reduce((sum, dispatch) => sum + dispatch.bytes, 0);
  const { rows, maxLength: length, sampledRows } = shape;
  const { flops } = stepCost(bench.calls as readonly OpCall[], { rows, length, sampledRows }, bench.kvType);
  return { label: bench.label, ms, gbPerSecond: bytes / (ms.median * 1e6), gflops: flops / (ms.median * 1e6) };
}

/** Random blocks as synthetic models have them, vectors of ones; activations and caches hold the zeros that they were made with. */
async function fillInputs(gpu: GpuDevice, tensors: GpuTensors, calls: readonly OpCall[]): Promise<void> {
  const { weights, vectors } = tensorsOf(calls);
  const repacker = await RawRepacker.create(gpu);
  const filler = await BlockFiller.create(gpu, repacker.raw, 1);
  try {
    for (const weight of weights) {
      await tensors.addWeight(weight);
      const rowsAtOnce = repacker.rowsAtOnce(weight);
      for (let row = 0; row < weight.rows; row += rowsAtOnce) {
        const count = Math.min(rowsAtOnce, weight.rows - row);
        filler.fillRows(weight, 0, row, count);
        await repacker.repack(weight, tensors.weightParts(weight), row, count);
      }
    }
    await repacker.finish();
  } finally {
    filler.dispose();
    repacker.dispose();
  }
  for (const vector of vectors) await tensors.addVector(vector, new Float32Array(vector.length).fill(1));
}
