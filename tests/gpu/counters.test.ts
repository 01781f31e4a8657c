import { describe, expect, test } from 'vitest';
import { WebGpuUnavailableError } from '../../src/errors';
import { countCalls } from '../../src/gpu/counters';
import { GpuDevice } from '../../src/gpu/device';
import { profileDispatches } from '../../src/gpu/profiler';
import { withDevice } from './variants';

/** A chain of N dependent steps in one thread: its time grows with N. */
const WORK = `
override N: u32;
@group(0) @binding(0) var<storage, read_write> out: array<u32>;
@compute @workgroup_size(1) fn main() {
  var sum = 0u;
  for (var i = 0u; i < N; i++) { sum = sum * 1664525u + i; }
  out[0] = sum;
}`;

function makeWork(
  device: GPUDevice,
  n: number,
  out: GPUBuffer,
): { pipeline: GPUComputePipeline; bindGroup: GPUBindGroup } {
  const module = device.createShaderModule({ code: WORK });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, constants: { N: n } } });
  const entries = [{ binding: 0, resource: { buffer: out } }];
  return { pipeline, bindGroup: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) };
}

describe('countCalls', () => {
  const open = withDevice();

  test('sees every call of a step, and none after restore', async () => {
    const { device } = await open();
    const staging = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const methods = Object.getOwnPropertyNames(device);
    const counts = countCalls(device);
    const out = device.createBuffer({
      size: 16,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    const { pipeline, bindGroup } = makeWork(device, 5, out);
    const step = async (): Promise<void> => {
      device.queue.writeBuffer(out, 0, new Uint32Array(4), 1, 2);
      device.queue.writeBuffer(out, 0, new ArrayBuffer(16), 4);
      const encoder = device.createCommandEncoder();
      for (const dispatches of [2, 1]) {
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        for (let i = 0; i < dispatches; i++) pass.dispatchWorkgroups(1);
        pass.end();
      }
      encoder.copyBufferToBuffer(out, 0, staging, 0, 4);
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      staging.unmap();
    };
    await step();
    const expected = {
      dispatches: 3,
      passes: 2,
      submits: 1,
      bindGroups: 1,
      buffers: 1,
      bufferWrites: 2,
      bytesWritten: 8 + 12,
      maps: 1,
      pipelines: 1,
      shaderModules: 1,
    };
    expect({ ...counts }).toEqual(expected);
    counts.reset();
    await step();
    expect({ ...counts }).toEqual({ ...expected, bindGroups: 0, buffers: 0, pipelines: 0, shaderModules: 0 });
    counts.restore();
    await step();
    expect(counts.submits).toBe(1);
    expect(counts.maps).toBe(1);
    expect(Object.getOwnPropertyNames(device)).toEqual(methods);
    out.destroy();
    staging.destroy();
  });
});

describe('profileDispatches', () => {
  test('times each dispatch by its label', async ({ onTestFinished }) => {
    const gpu = await GpuDevice.create({ timestamps: true });
    onTestFinished(() => gpu.dispose());
    const out = await gpu.createBuffer({ label: 'out', size: 16, usage: GPUBufferUsage.STORAGE });
    const items = [10, 3_000_000].map((n) => ({
      label: `n ${n}`,
      workgroups: [1, 1, 1] as const,
      ...makeWork(gpu.device, n, out),
    }));
    if (!gpu.capabilities.timestampQuery) {
      await expect(profileDispatches(gpu, items)).rejects.toThrow(WebGpuUnavailableError);
      return;
    }
    const rows = await profileDispatches(gpu, items);
    expect(rows.map(({ label }) => label)).toEqual(['n 10', 'n 3000000']);
    expect(rows[1].ns).toBeGreaterThan(rows[0].ns);
    expect(await profileDispatches(gpu, [])).toEqual([]);
    gpu.destroyBuffer(out);
    expect(gpu.allocatedBytes).toBe(0);
  });

  test('a device without timestamps says how to get them', async ({ onTestFinished }) => {
    const gpu = await GpuDevice.create();
    onTestFinished(() => gpu.dispose());
    await expect(profileDispatches(gpu, [])).rejects.toThrow(/timestamps: true/);
  });
});
