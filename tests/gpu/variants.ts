import { afterAll, afterEach, expect } from 'vitest';
import { GpuDevice, type GpuDeviceOptions } from '../../src/gpu/device';

export interface Variant {
  readonly name: string;
  readonly options: Pick<GpuDeviceOptions, 'without' | 'defaultLimits'>;
}

/** The machine's GPU in every guise that chooses other kernels. */
export const VARIANTS: readonly Variant[] = [
  { name: 'full', options: {} },
  { name: 'without shader-f16', options: { without: ['shader-f16'] } },
  { name: 'without subgroups', options: { without: ['subgroups'] } },
  { name: 'without shader-f16, subgroups', options: { without: ['shader-f16', 'subgroups'] } },
  { name: 'default limits', options: { defaultLimits: true } },
];

/**
 * A function that gives the variant's device: made once per test file and disposed of after it. After each test every device must be
 * there still and have no error left over. Call it at the top of a test file or of a `describe`.
 */
export function withDevice(variant: Variant = VARIANTS[0]): () => Promise<GpuDevice> {
  let device: Promise<GpuDevice> | undefined;
  afterEach(async () => {
    const gpu = await device;
    if (!gpu) return;
    await gpu.checked('work left over by the test', () => gpu.device.queue.submit([]));
    await gpu.device.queue.onSubmittedWorkDone();
    gpu.throwIfFaulted();
    expect(gpu.lostError).toBeUndefined();
  });
  afterAll(async () => {
    const created = device;
    device = undefined;
    (await created)?.dispose();
  });
  return () => {
    device ??= GpuDevice.create(variant.options);
    return device;
  };
}
