import { expect, test } from 'vitest';
import { measureMachine } from '../../src/gpu/micro_bench';
import { withDevice } from './variants';

const open = withDevice();

test('a machine has a bandwidth and a peak, and nothing is left allocated', async () => {
  const gpu = await open();
  const { streamReadGBs, fmaGFLOPs } = await measureMachine(gpu);
  // The slowest software adapter and the fastest accelerator lie between.
  for (const rate of [streamReadGBs, fmaGFLOPs.f32]) {
    expect(rate).toBeGreaterThan(0.01);
    expect(rate).toBeLessThan(1e7);
  }
  expect(fmaGFLOPs.f16 !== undefined).toBe(gpu.capabilities.f16);
  expect(gpu.allocatedBytes).toBe(0);
});
