import type { GpuDevice } from '../gpu/device';

/**
 * Copies a buffer, or `size` bytes of it, back; for tests, comparisons and scoring, never in the decode loop.
 * Rejects with DeviceLostError, DisposedError, OutOfMemoryError or KernelError.
 */
export async function readBuffer(
  gpu: GpuDevice,
  buffer: GPUBuffer,
  offset = 0,
  size = buffer.size - offset,
): Promise<ArrayBuffer> {
  const staging = await gpu.createBuffer({
    label: 'read',
    size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  try {
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, size);
    gpu.device.queue.submit([encoder.finish()]);
    const bytes = await mappedBytes(gpu, staging, 'read');
    gpu.throwIfFaulted();
    return bytes;
  } finally {
    gpu.destroyBuffer(staging);
  }
}

/** A copy of what a staging buffer holds. Rejects with DeviceLostError, DisposedError or KernelError. */
export async function mappedBytes(gpu: GpuDevice, staging: GPUBuffer, label: string): Promise<ArrayBuffer> {
  try {
    await staging.mapAsync(GPUMapMode.READ);
    return staging.getMappedRange().slice(0);
  } catch (cause) {
    throw await gpu.explain(label, cause);
  }
}
