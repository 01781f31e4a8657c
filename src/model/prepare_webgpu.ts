import type { Gguf } from '../formats/gguf/gguf';
import type { GpuDevice } from '../gpu/device';
import { GpuTensors } from './gpu_tensors';
import { type ModelLayout, plansOf } from './layout';
import { StepEncoder, stepBufferWords, tileRowsOf } from './step_encoder';
import type { ModelOrigin } from './synthetic';
import { uploadWeights } from './upload_weights';
import { preparePlans } from './webgpu_executor';
import type { BucketPlan } from './webgpu_runner';
import type { LoadOptions } from './weight_loader';

export interface PreparedModel {
  readonly tensors: GpuTensors;
  readonly plans: readonly BucketPlan[];
  readonly encoder: StepEncoder;
}

export interface PrepareOptions extends LoadOptions {
  /** The weights are in; pipelines are being compiled. */
  readonly onCompile?: () => void;
}

/** Brings a model's weights to the GPU, or makes them there, and compiles its plans. Rejects like `loadWeights` and GpuDevice's calls; then all is freed. */
export async function prepareWebGpu(
  device: GpuDevice,
  gguf: Gguf,
  source: ModelOrigin,
  layout: ModelLayout,
  options: PrepareOptions,
): Promise<PreparedModel> {
  const { spec, limits } = layout;
  const plans = plansOf(layout);
  const capacity = { ...limits, maxSegments: limits.maxSlots, tileRows: tileRowsOf(plans[0].calls) };
  const tensors = await GpuTensors.create(device, {
    maxRows: limits.maxRows,
    maxSampledRows: limits.maxSampledRows,
    numPages: limits.numPages,
    kvType: layout.kvType,
    stepWords: stepBufferWords(capacity),
  });
  try {
    await uploadWeights(device, tensors, gguf, source, spec, options);
    options.onCompile?.();
    const prepared = await preparePlans(
      device,
      tensors,
      plans.map(({ bucket, calls }) => ({
        calls,
        target: {
          capabilities: device.capabilities,
          bucket,
          kvType: layout.kvType,
          contextLength: limits.contextLength,
          maxSampledRows: limits.maxSampledRows,
          maxSlots: limits.maxSlots,
          weightParts: (weight) => tensors.weightParts(weight),
        },
      })),
    );
    return {
      tensors,
      plans: prepared.map((plan, i) => ({ bucket: plans[i].bucket, plan })),
      encoder: new StepEncoder(capacity),
    };
  } catch (error) {
    tensors.dispose();
    throw error;
  }
}
