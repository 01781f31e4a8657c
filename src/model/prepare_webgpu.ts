import type { Gguf } from '../formats/gguf/gguf';
import type { GpuDevice } from '../gpu/device';
import type { RowBucket, Weight } from '../ops/op';
import { maskWords } from '../ops/step_layout';
import type { KernelTuning } from '../ops/tuning';
import type { Tuned, TuningChoice } from './autotune/autotune';
import type { TrialBench } from './autotune/bench';
import type { PlanOfBucket } from './autotune/jobs';
import { PACKAGE_VERSION } from './autotune/version';
import { GpuTensors } from './gpu_tensors';
import { type ModelLayout, plansOf, type TuneOptions } from './layout';
import type { ModelOrigin } from './origin';
import { advanceDispatch, sampleHistory } from './step_advance';
import { StepEncoder, stepBufferWords, tileRowsOf } from './step_encoder';
import { uploadWeights } from './upload_weights';
import { allocatePlans } from './webgpu_executor';
import type { BucketPlan, Repeater } from './webgpu_runner';
import type { LoadOptions } from './weight_loader';

export interface PreparedModel {
  readonly tensors: GpuTensors;
  readonly plans: readonly BucketPlan[];
  readonly encoder: StepEncoder;
  readonly repeater: Repeater;
  /** Why the kernels are the ones that they are; empty where nothing was measured. */
  readonly tuning: readonly TuningChoice[];
}

export interface PrepareOptions extends LoadOptions {
  /** The weights are in; kernels are being measured. */
  readonly onTune?: () => void;
  /** The weights are in; pipelines are being compiled. */
  readonly onCompile?: () => void;
  readonly tune?: TuneOptions;
  /** What to run with, chosen at another load: nothing is measured then. None: the defaults. */
  readonly tuned?: readonly TuningChoice[];
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
  const capacity = {
    ...limits,
    maxSegments: limits.maxSlots,
    maskWords: limits.embeddingSize === undefined ? maskWords(limits.vocabSize) : 0,
    tileRows: tileRowsOf(plans[0].calls),
    sampler: limits,
  };
  const tensors = await GpuTensors.create(device, {
    maxRows: limits.maxRows,
    maxSampledRows: limits.maxSampledRows,
    numPages: limits.numPages,
    sliding: limits.sliding,
    kvType: layout.kvType,
    stepWords: stepBufferWords(capacity),
  });
  try {
    await uploadWeights(device, tensors, gguf, source, spec, options);
    const target = {
      capabilities: device.capabilities,
      kvType: layout.kvType,
      contextLength: limits.contextLength,
      maxSampledRows: limits.maxSampledRows,
      maxSlots: limits.maxSlots,
      weightParts: (weight: Weight) => tensors.weightParts(weight),
    };
    const encoder = new StepEncoder(capacity);
    const tuned = await tune({ gpu: device, tensors, encoder, target, ...limits, ...layout.states }, plans, options);
    options.onCompile?.();
    const history = sampleHistory(limits.maxSampledRows);
    const [advance, ...prepared] = await allocatePlans(device, tensors, [
      [advanceDispatch(layout.states, history)],
      ...plans.map(({ bucket, calls }) => ({
        calls,
        target: { ...target, bucket, tuning: tuned?.tuning },
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
      encoder,
      repeater: { advance, history },
      tuning: tuned?.choices ?? [],
    };
  } catch (error) {
    tensors.dispose();
    throw error;
  }
}

/** What was measured, now or at an earlier load; undefined where the ops' defaults run. */
async function tune(
  bench: TrialBench,
  plans: readonly PlanOfBucket[],
  { tune: options = {}, tuned, signal, onTune }: PrepareOptions,
): Promise<Tuned | undefined> {
  if (tuned) return { choices: tuned, tuning: tuningOf(tuned) };
  const { mode = 'auto', ...rest } = options;
  if (mode === 'never' || (mode === 'auto' && bench.gpu.capabilities.software)) return undefined;
  onTune?.();
  const { autotune } = await import('./autotune/autotune');
  return await autotune(bench, plans, { ...rest, version: PACKAGE_VERSION, signal });
}

function tuningOf(choices: readonly TuningChoice[]): KernelTuning {
  const chosen = new Map(choices.map(({ key, choice }) => [key, choice]));
  return {
    linear(key) {
      const choice = chosen.get(key);
      return choice?.kernel === 'gemv' || choice?.kernel === 'gemm' ? choice : undefined;
    },
    attention(key) {
      const choice = chosen.get(key);
      return choice?.kernel === 'decode' || choice?.kernel === 'prefill' ? choice : undefined;
    },
    experts(key) {
      const choice = chosen.get(key);
      return choice?.kernel === 'expert_gemv' || choice?.kernel === 'expert_gemm' ? choice : undefined;
    },
  };
}

/** Decode, short prompts, verification: what the first tokens of a chat need. */
function isSmall({ maxRows }: RowBucket): boolean {
  return maxRows <= 16;
}
