import { afterEach, describe, expect, test } from 'vitest';
import { DeviceLostError, DisposedError, InternalError, KernelError, OutOfMemoryError } from '../../src/errors';
import { GpuDevice, type GpuDeviceOptions } from '../../src/gpu/device';
import { ReadbackRing } from '../../src/gpu/readback';

// Errors and losses are provoked here, so every test has a device of its own.
const devices: GpuDevice[] = [];
afterEach(() => {
  for (const device of devices.splice(0)) device.dispose();
});

async function open(options?: GpuDeviceOptions): Promise<GpuDevice> {
  const device = await GpuDevice.create(options);
  devices.push(device);
  return device;
}

const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** A submit that fails validation, guarded by nobody. */
function submitInvalidCopy({ device }: GpuDevice): void {
  const small = device.createBuffer({ size: 16, usage: STORAGE });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(small, 0, small, 64, 16);
  device.queue.submit([encoder.finish()]);
}

describe('capabilities', () => {
  test('masked features are off on the device itself', async () => {
    const full = await open();
    const adapter = await navigator.gpu.requestAdapter();
    expect(full.capabilities.f16).toBe(adapter?.features.has('shader-f16'));
    expect(full.capabilities.subgroups).toBe(adapter?.features.has('subgroups'));
    expect(full.capabilities.timestampQuery).toBe(false);
    const masked = await open({ without: ['shader-f16', 'subgroups', 'dot4', 'subgroup-matrix'], timestamps: true });
    expect(masked.capabilities).toMatchObject({ f16: false, subgroups: false, dot4: false, subgroupMatrix: false });
    expect(masked.device.features.has('shader-f16')).toBe(false);
    expect(masked.device.features.has('subgroups')).toBe(false);
    expect(masked.capabilities.timestampQuery).toBe(adapter?.features.has('timestamp-query'));
    expect((await open({ without: ['timestamp-query'], timestamps: true })).capabilities.timestampQuery).toBe(false);
  });

  test('limits are the adapter’s, or the defaults', async () => {
    const adapter = await navigator.gpu.requestAdapter();
    const { limits } = (await open()).capabilities;
    for (const [name, value] of Object.entries(limits)) {
      expect(value, name).toBe(adapter?.limits[name as keyof typeof limits]);
    }
    expect((await open({ defaultLimits: true })).capabilities.limits).toEqual({
      maxBufferSize: 268435456,
      maxStorageBufferBindingSize: 134217728,
      maxStorageBuffersPerShaderStage: 8,
      minStorageBufferOffsetAlignment: 256,
      maxComputeWorkgroupStorageSize: 16384,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupSizeX: 256,
      maxComputeWorkgroupsPerDimension: 65535,
    });
  });
});

describe('buffers', () => {
  test('are counted until they are destroyed, once', async () => {
    const gpu = await open();
    const a = await gpu.createBuffer({ label: 'a', size: 1024, usage: STORAGE });
    await gpu.createBuffer({ label: 'b', size: 48, usage: STORAGE });
    expect(gpu.allocatedBytes).toBe(1072);
    gpu.destroyBuffer(a);
    expect(gpu.allocatedBytes).toBe(48);
    expect(() => gpu.destroyBuffer(a)).toThrow(InternalError);
    gpu.dispose();
    expect(gpu.allocatedBytes).toBe(0);
  });

  test('that cannot be made reject, allocate nothing and leave the device usable', async () => {
    const gpu = await open({ defaultLimits: true });
    const size = gpu.capabilities.limits.maxBufferSize + 4;
    const failure = await gpu.createBuffer({ label: 'kv', size, usage: STORAGE }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OutOfMemoryError);
    expect((failure as OutOfMemoryError).message).toMatch(/"kv".*268435460.*268435456/);
    expect((failure as OutOfMemoryError).details).toMatchObject({ size, maxBufferSize: 268435456, allocatedBytes: 0 });
    const badUsage = GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE;
    await expect(gpu.createBuffer({ label: 'bad', size: 16, usage: badUsage })).rejects.toThrow(KernelError);
    await expect(gpu.createBuffer({ label: 'empty', size: 0, usage: STORAGE })).rejects.toThrow(InternalError);
    expect(gpu.allocatedBytes).toBe(0);
    await gpu.createBuffer({ label: 'good', size: 16, usage: STORAGE });
    gpu.throwIfFaulted();
  });

  test('that the driver has no memory for are told from wrong ones', async () => {
    const gpu = await open();
    // A driver that reports out of memory: which sizes do that differs by machine, and on most it hurts.
    const { device } = gpu;
    const create = device.createBuffer.bind(device);
    const pop = device.popErrorScope.bind(device);
    let scopes = 0;
    device.createBuffer = (descriptor) => create({ ...descriptor, size: 16 });
    device.popErrorScope = async () => {
      await pop();
      return scopes++ === 1 ? new GPUOutOfMemoryError('no more') : null;
    };
    const failure = await gpu
      .createBuffer({ label: 'weights', size: 4096, usage: STORAGE })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OutOfMemoryError);
    expect((failure as OutOfMemoryError).message).toMatch(/out of memory.*"weights".*4096/);
    expect(gpu.allocatedBytes).toBe(0);
  });
});

describe('checked', () => {
  test('gives the result, the validation error with its label, or what the function threw', async () => {
    const gpu = await open();
    await expect(gpu.checked('fine', () => 7)).resolves.toBe(7);
    await expect(gpu.checked('step 3', () => submitInvalidCopy(gpu))).rejects.toThrow(/^step 3: /);
    const thrown = new RangeError('mine');
    await expect(
      gpu.checked('throws', () => {
        throw thrown;
      }),
    ).rejects.toBe(thrown);
    await expect(gpu.checked('fine again', () => 8)).resolves.toBe(8);
  });

  test('concurrent checks do not take each other’s errors', async () => {
    const gpu = await open();
    const results = await Promise.allSettled([
      gpu.checked('a', () => 1),
      gpu.checked('b', () => submitInvalidCopy(gpu)),
      gpu.checked('c', () => 3),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  });

  test('an error that nobody guarded surfaces at the next check, once', async () => {
    const gpu = await open();
    submitInvalidCopy(gpu);
    await gpu.device.queue.onSubmittedWorkDone();
    await expect(gpu.checked('innocent', () => 1)).rejects.toThrow(/unguarded/);
    await expect(gpu.checked('innocent', () => 1)).resolves.toBe(1);
  });
});

describe('the end of a device', () => {
  test('a loss is reported by every way to learn of it', async () => {
    const gpu = await open();
    expect(gpu.lostError).toBeUndefined();
    gpu.device.destroy();
    const lost = await gpu.lost;
    expect(lost).toBeInstanceOf(DeviceLostError);
    expect(gpu.lostError).toBe(lost);
    await expect(gpu.createBuffer({ label: 'late', size: 16, usage: STORAGE })).rejects.toBe(lost);
    await expect(gpu.checked('late', () => 1)).rejects.toBe(lost);
  });

  test('a readback in flight rejects when the device is lost', async () => {
    const gpu = await open();
    const ring = await ReadbackRing.create(gpu, 16, 2);
    const source = await gpu.createBuffer({ label: 'source', size: 16, usage: STORAGE });
    const encoder = gpu.device.createCommandEncoder();
    const readback = ring.copy(encoder, source, 16);
    gpu.device.queue.submit([encoder.finish()]);
    const pending = readback.read();
    gpu.device.destroy();
    await expect(pending).rejects.toThrow(DeviceLostError);
  });

  test('disposal is no loss: what waits rejects as disposed', async () => {
    const gpu = await open();
    const ring = await ReadbackRing.create(gpu, 16, 2);
    const source = await gpu.createBuffer({ label: 'source', size: 16, usage: STORAGE });
    const encoder = gpu.device.createCommandEncoder();
    const readback = ring.copy(encoder, source, 16);
    gpu.device.queue.submit([encoder.finish()]);
    const pending = readback.read();
    gpu.dispose();
    await expect(pending).rejects.toThrow(DisposedError);
    await expect(gpu.checked('late', () => 1)).rejects.toThrow(DisposedError);
    expect(await Promise.race([gpu.lost, gpu.device.lost.then(() => 'only the raw device')])).toBe(
      'only the raw device',
    );
    expect(gpu.lostError).toBeUndefined();
    ring.dispose();
    gpu.dispose();
  });
});
