import type { GpuDevice } from '../gpu/device';

/** Copies a whole buffer back; for tests, comparisons and scoring, never in the decode loop. */
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
    await staging.mapAsync(GPUMapMode.READ);
    return staging.getMappedRange().slice(0);
  } finally {
    gpu.destroyBuffer(staging);
  }
}
