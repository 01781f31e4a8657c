import { GREEDY } from '../engine/runner';
import { WebGpuUnavailableError } from '../errors';
import { GpuDevice } from '../gpu/device';
import { profileDispatches } from '../gpu/profiler';
import type { TuningChoice } from './autotune/autotune';
import { type LoadModelOptions, layOut } from './layout';
import { weightOptions } from './load_model';
import { type ModelOrigin, readHeader } from './origin';
import { prepareWebGpu } from './prepare_webgpu';
import { wholePool } from './whole_pool';

/** All dispatches of one label in a step. */
export interface ProfiledKernel {
  readonly label: string;
  readonly dispatches: number;
  /** Time on the GPU's clock. */
  readonly ms: number;
  /** Bytes that the kernels say they read and write. */
  readonly bytes: number;
}

/** The last `rows` of a sequence's `length` positions. */
export interface ProfiledStep {
  readonly rows: number;
  readonly length: number;
}

/** The first run warms up; of the others each dispatch's median counts. */
const RUNS = 4;

/**
 * Loads the model on a device of its own with timestamps and times every dispatch of each greedy step, one compute pass for each:
 * the sum is more than the step takes in one pass. Kernels in order of their first use.
 * Runs what was `tuned` at another load, otherwise the defaults. Rejects like `loadModel`, and with WebGpuUnavailableError where the GPU has no `timestamp-query`.
 */
export async function profileModel(
  source: ModelOrigin,
  options: LoadModelOptions,
  steps: readonly ProfiledStep[],
  tuned: readonly TuningChoice[] = [],
): Promise<ProfiledKernel[][]> {
  const { gpu, without, defaultLimits } = options;
  const device = await GpuDevice.create({ gpu, without, defaultLimits, timestamps: true });
  try {
    if (!device.capabilities.timestampQuery) {
      throw new WebGpuUnavailableError('this GPU has no timestamp-query: its kernels cannot be timed one by one');
    }
    const gguf = await readHeader(source, options);
    const layout = layOut(gguf, options, device.capabilities);
    const prepareOptions = { ...weightOptions(options), tuned };
    const { tensors, plans, encoder } = await prepareWebGpu(device, gguf, source, layout, prepareOptions);
    const tables = wholePool(layout.limits);
    const profiles: ProfiledKernel[][] = [];
    for (const { rows, length } of steps) {
      const tokens = Array.from({ length: rows }, (_, i) => (i * 7919) % layout.limits.vocabSize);
      const position = length - rows;
      const { words, shape } = encoder.encode({
        segments: [{ slot: 0, tokens, position, ...tables, sample: 'last', sampling: GREEDY }],
      });
      device.device.queue.writeBuffer(tensors.step, 0, words);
      const { plan } = plans.find(({ bucket }) => rows <= bucket.maxRows) ?? plans[plans.length - 1];
      const items = plan.profileItems(shape);
      const runs: number[][] = [];
      for (let run = 0; run < RUNS; run++) runs.push((await profileDispatches(device, items)).map(({ ns }) => ns));
      const times = items.map((_, i) => median(runs.slice(1).map((run) => run[i])));
      profiles.push(byLabel(plan.describe(shape), times));
    }
    return profiles;
  } finally {
    device.dispose();
  }
}

function byLabel(
  dispatches: readonly { readonly label: string; readonly bytes: number }[],
  times: readonly number[],
): ProfiledKernel[] {
  const found = new Map<string, ProfiledKernel>();
  dispatches.forEach(({ label, bytes }, i) => {
    const before = found.get(label) ?? { label, dispatches: 0, ms: 0, bytes: 0 };
    found.set(label, {
      label,
      dispatches: before.dispatches + 1,
      ms: before.ms + times[i] / 1e6,
      bytes: before.bytes + bytes,
    });
  });
  return [...found.values()];
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
