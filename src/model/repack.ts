import type { WeightFormat } from '../formats/weight_format';
import type { GpuDevice } from '../gpu/device';
import type { BindingAccess } from '../gpu/pipelines';
import type { Weight } from '../ops/op';
import { type RepackBinding, type RepackKernel, repackKernel } from '../ops/weights/layout';
import { quantizeKernel } from '../ops/weights/quantize';
import type { GpuWeightPart } from './gpu_tensors';

const ACCESS: Readonly<Record<RepackBinding, BindingAccess>> = {
  params: 'uniform',
  raw: 'read',
  quants: 'write',
  scales: 'write',
};

/** A kernel that brings rows of one encoding into a weight's planes, compiled. */
export interface Repacking {
  readonly kernel: RepackKernel;
  readonly pipeline: GPUComputePipeline;
}

/** `stored`: the weight's own format, or floats that are to be quantised to it. */
export async function repackingOf(gpu: GpuDevice, weight: Weight, stored: WeightFormat): Promise<Repacking> {
  const kernel =
    stored === weight.format
      ? repackKernel(weight.format, weight.cols)
      : quantizeKernel(stored, weight.format, weight.cols);
  const access = kernel.bindings.map((binding) => ACCESS[binding]);
  return { kernel, pipeline: await gpu.pipelines.get(kernel.source, access) };
}

/** Encodes the repacking of `rows` rows into a part; `params` says which (REPACK_PARAM_WORDS), `raw` holds them, padded to whole words. */
export function encodeRepack(
  gpu: GpuDevice,
  pass: GPUComputePassEncoder,
  { kernel, pipeline }: Repacking,
  part: GpuWeightPart,
  rows: number,
  params: GPUBufferBinding,
  raw: GPUBufferBinding,
): void {
  const bindings = { params, raw, quants: { buffer: part.quants }, scales: { buffer: part.scales } };
  const bindGroup = gpu.device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: kernel.bindings.map((name, binding) => ({ binding, resource: bindings[name] })),
  });
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(...kernel.workgroups(rows));
}
