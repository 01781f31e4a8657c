import { expect, test } from 'vitest';
import { WebGpuUnavailableError } from '../../src/errors';
import { GpuDevice } from '../../src/gpu/device';
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

test('every kernel of a decode step has a time and its bytes', async () => {
  const timestamps = await hasTimestamps();
  const profiling = profileModel(model, { backend: 'webgpu', maxRows: 1 }, [{ rows: 1, length: 40 }]);
  if (!timestamps) {
    await expect(profiling).rejects.toThrow(WebGpuUnavailableError);
    return;
  }
  const [kernels] = await profiling;
  const labels = kernels.map(({ label }) => label);
  expect(new Set(labels).size).toBe(labels.length);
  expect(labels[0]).toMatch(/^embed q4_0/);
  expect(labels.filter((label) => label.startsWith('gemv'))).not.toHaveLength(0);
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
