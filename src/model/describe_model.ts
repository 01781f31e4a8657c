import { type Gguf, optionalString } from '../formats/gguf/gguf';
import { type Capabilities, LEAST_CAPABILITIES } from '../gpu/capabilities';
import type { OpCall } from '../ops/calls';
import type { Dispatch, KvType, Weight } from '../ops/op';
import { splitByBindingLimit } from './gpu_tensors';
import { type LoadModelOptions, layOut, type ModelLayout, plansOf } from './layout';
import { type MemoryNeeds, memoryNeeds } from './memory';
import { planDispatches } from './webgpu_executor';

export interface ModelDescription {
  readonly architecture: string;
  readonly name: string;
  readonly parameters: number;
  /** Context in use, in positions. */
  readonly contextLength: number;
  readonly trainedContextLength: number;
  readonly vocabSize: number;
  readonly numLayers: number;
  readonly hiddenSize: number;
  readonly kvType: KvType;
  readonly memory: MemoryNeeds;
}

/** A GPU that nobody has asked yet: what every device with WebGPU can do, and bindings of the size that most allow. */
const ANY_DEVICE: Capabilities = {
  ...LEAST_CAPABILITIES,
  limits: { ...LEAST_CAPABILITIES.limits, maxBufferSize: 2 ** 31, maxStorageBufferBindingSize: 2 ** 31 - 4 },
};

/** `calls` of the largest step; `kernels`: what runs them in steps of any size, none on the reference executor. */
export function describe(
  gguf: Gguf,
  layout: ModelLayout,
  calls: readonly OpCall[],
  kernels: readonly Dispatch[],
): ModelDescription {
  const { spec, limits } = layout;
  let parameters = 0;
  for (const tensor of gguf.tensors.values()) parameters += tensor.shape.reduce((product, size) => product * size, 1);
  return {
    architecture: spec.architecture,
    name: optionalString(gguf, 'general.name') ?? spec.architecture,
    parameters,
    contextLength: limits.contextLength,
    trainedContextLength: spec.trainedContextLength,
    vocabSize: spec.vocabSize,
    numLayers: spec.numLayers,
    hiddenSize: spec.hiddenSize,
    kvType: layout.kvType,
    memory: memoryNeeds(spec, calls, kernels, { ...limits, kvType: layout.kvType }),
  };
}

/** What a file would need, without loading it; the scratch of kernels is what their defaults take. */
export function describeModel(gguf: Gguf, options: LoadModelOptions): ModelDescription {
  const layout = layOut(gguf, options, undefined);
  const plans = plansOf(layout);
  const { contextLength, maxSampledRows, maxSlots } = layout.limits;
  const target = {
    capabilities: ANY_DEVICE,
    kvType: layout.kvType,
    contextLength,
    maxSampledRows,
    maxSlots,
    weightParts: (weight: Weight) => splitByBindingLimit(weight, ANY_DEVICE.limits.maxStorageBufferBindingSize),
  };
  const kernels =
    options.backend === 'reference'
      ? []
      : plans.flatMap(({ bucket, calls }) => planDispatches(calls, { ...target, bucket }));
  // What only some steps need is allocated when the first of them comes.
  const always = kernels.filter(({ when }) => when === undefined).map(({ dispatch }) => dispatch);
  return describe(gguf, layout, plans[plans.length - 1].calls, always);
}
