import { expect, test } from 'vitest';
import { WebGpuUnavailableError } from '../../src/errors';
import { GpuDevice } from '../../src/gpu/device';
import type { TuningChoice } from '../../src/model/autotune/autotune';
import { profileModel } from '../../src/model/profile_model';
import { syntheticModel } from '../../src/model/synthetic';

const NUM_LAYERS = 2;

const model = syntheticModel(
  'tiny',
  {
    numLayers: NUM_LAYERS,
    hiddenSize: 96,
    intermediateSize: 160,
    numHeads: 3,
    numKvHeads: 1,
    headDim: 32,
    vocabSize: 1000,
    contextLength: 64,
    ropeTheta: 10_000,
    tied: false,
  },
  'q4_0',
);

async function hasTimestamps(): Promise<boolean> {
  const device = await GpuDevice.create({ timestamps: true });
  const { timestampQuery } = device.capabilities;
  device.dispose();
  return timestampQuery;
}

/** Not what any device runs by default. */
const TUNED: TuningChoice = {
  key: 'q4_0 96→1000 f32→f32 norm sampled rows 1',
  choice: {
    kernel: 'gemv',
    splitK: 1,
    arithmetic: 'float',
    reduction: 'workgroup',
    x: 'direct',
    workgroupSize: 256,
    outputsPerLane: 1,
    unrolled: false,
  },
  isDefault: false,
  measured: 1,
  candidates: 1,
  wrong: [],
  isWrong: false,
};

test('every kernel of a decode step, as it was tuned, has a time and its bytes', async () => {
  const timestamps = await hasTimestamps();
  const profiling = profileModel(model, { backend: 'webgpu', maxRows: 1 }, [{ rows: 1, length: 40 }], [TUNED]);
  if (!timestamps) {
    await expect(profiling).rejects.toThrow(WebGpuUnavailableError);
    return;
  }
  const [kernels] = await profiling;
  const labels = kernels.map(({ label }) => label);
  expect(new Set(labels).size).toBe(labels.length);
  expect(labels[0]).toMatch(/^embed q4_0/);
  const gemv = labels.filter((label) => label.startsWith('gemv'));
  expect(gemv.length).toBeGreaterThan(2);
  expect(gemv.filter((label) => label.includes('direct 256×1'))).toHaveLength(1);
  expect(gemv.find((label) => label.includes('direct 256×1'))).toMatch(/96→1000/);
  const dispatches = kernels.reduce((sum, kernel) => sum + kernel.dispatches, 0);
  expect(dispatches).toBeGreaterThan(5 * NUM_LAYERS);
  expect(dispatches).toBeLessThanOrEqual(7 * NUM_LAYERS + 6);
  for (const { label, ms, bytes } of kernels) {
    expect(ms, label).toBeGreaterThanOrEqual(0);
    expect(bytes, label).toBeGreaterThan(0);
  }
});

test('a device without timestamp queries is refused before anything is loaded', async () => {
  const profiling = profileModel(model, { backend: 'webgpu', maxRows: 1, without: ['timestamp-query'] }, []);
  await expect(profiling).rejects.toThrow(/timestamp-query/);
});
