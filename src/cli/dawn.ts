import { WebGpuUnavailableError } from '../errors';
import { isSoftware } from '../gpu/probe';
import { pollPatiently } from './patient_polling';

/**
 * WebGPU in Node: Dawn, from the npm package `webgpu`. Defines WebGPU's globals (GPUBufferUsage, …). The process stays alive as long
 * as anyone holds the result. Where the adapter is software, waiting leaves it the processor. Rejects with WebGpuUnavailableError when
 * the package or its native part is missing; a missing driver shows when an adapter is asked for.
 */
export async function createNodeGpu(): Promise<GPU> {
  const dawn = await import('webgpu').catch((cause: unknown) => {
    throw new WebGpuUnavailableError('WebGPU in Node needs the package "webgpu": npm install webgpu', { cause });
  });
  Object.assign(globalThis, dawn.globals);
  try {
    const gpu = dawn.create([]);
    const adapter = await gpu.requestAdapter().catch(() => null);
    if (adapter && isSoftware(adapter.info)) pollPatiently();
    return gpu;
  } catch (cause) {
    throw new WebGpuUnavailableError(
      'Dawn found no usable GPU driver: install one (on Linux a Vulkan driver; without a GPU the package mesa-vulkan-drivers)',
      { cause },
    );
  }
}
