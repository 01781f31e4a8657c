import { expect, test } from 'vitest';
import { GpuDevice } from '../../src/gpu/device';
import { measureKernels } from '../../src/model/bench/measure_kernels';

test('a kernel is timed next to the bytes that it states, with and without timestamps, and nothing is left behind', async () => {
  for (const without of [[], ['timestamp-query']] as const) {
    const gpu = await GpuDevice.create({ timestamps: true, without });
    try {
      const said: string[] = [];
      const report = await measureKernels(gpu, {
        filter: 'argmax llama',
        repetitions: 2,
        maxSeconds: 1,
        onProgress: (label) => said.push(label),
      });
      expect(report.leftOut).toEqual([]);
      expect(report.clock).toBe(gpu.capabilities.timestampQuery ? 'timestamps' : 'wall');
      expect(report.kernels.map(({ label }) => label)).toEqual(said);
      const [{ ms, gbPerSecond, gflops }] = report.kernels;
      expect(ms.median).toBeGreaterThan(0);
      // At least the logits are read.
      expect(gbPerSecond * ms.median * 1e6).toBeGreaterThanOrEqual(4 * 128_256);
      expect(gflops).toBe(0);
      expect(gpu.allocatedBytes).toBe(0);
    } finally {
      gpu.dispose();
    }
  }
});
