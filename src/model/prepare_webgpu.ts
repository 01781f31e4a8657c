import type { Gguf } from '../formats/gguf/gguf';
import type { GpuDevice } from '../gpu/device';
import type { RowBucket, Weight } from '../ops/op';
import { GpuTensors } from './gpu_tensors';
import { type ModelLayout, plansOf } from './layout';
import { advanceDispatch, sampleHistory } from './step_advance';
import { StepEncoder, stepBufferWords, tileRowsOf } from './step_encoder';
import type { ModelOrigin } from './synthetic';
import { uploadWeights } from './upload_weights';
import { allocatePlans } from './webgpu_executor';
import type { BucketPlan, Repeater } from './webgpu_runner';
import type { LoadOptions } from './weight_loader';

export interface PreparedModel {
  readonly tensors: GpuTensors;
  readonly plans: readonly BucketPlan[];
  readonly encoder: StepEncoder;
  readonly repeater: Repeater;
}

export interface PrepareOptions extends LoadOptions {
  /** The weights are in; pipelines are being compiled. */
  readonly onCompile?: () => void;
  /** Return when steps of up to 16 rows can run, and compile what larger ones need meanwhile: `WebGpuRunner.ready` says when. */
  readonly compileInBackground?: boolean;
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
    const history = sampleHistory(limits.maxSampledRows);
    const [advance, ...prepared] = await allocatePlans(device, tensors, [
      [advanceDispatch(layout.states, history)],
      ...plans.map(({ bucket, calls }) => ({
        calls,
        target: {
          capabilities: device.capabilities,
          bucket,
          kvType: layout.kvType,
          contextLength: limits.contextLength,
          maxSampledRows: limits.maxSampledRows,
          maxSlots: limits.maxSlots,
          weightParts: (weight: Weight) => tensors.weightParts(weight),
        },
      })),
    ]);
    // One after the other, so that the driver does not share its threads between what is needed now and what can wait.
    await Promise.all([advance, ...prepared.filter((_, i) => isSmall(plans[i].bucket))].map((plan) => plan.prepare()));
    const large = Promise.all(prepared.map((plan) => plan.prepare()));
    // Whoever runs a step that needs them learns what went wrong.
    if (options.compileInBackground) large.catch(() => undefined);
    else await large;
    return {
      tensors,
      plans: prepared.map((plan, i) => ({ bucket: plans[i].bucket, plan })),
      encoder: new StepEncoder(capacity),
      repeater: { advance, history },
    };
  } catch (error) {
    tensors.dispose();
    throw error;
  }
}

/** Decode, short prompts, verification: what the first tokens of a chat need. */
function isSmall({ maxRows }: RowBucket): boolean {
  return maxRows <= 16;
}
