import type { Runner, RunnerLimits } from '../engine/runner';
import { type DeviceLostError, InternalError, InvalidOptionError } from '../errors';
import { decodeRow, rowBytes } from '../formats/dequantize';
import { type ByteSource, type Gguf, optionalString } from '../formats/gguf/gguf';
import { readGguf } from '../formats/gguf/read_gguf';
import type { AdapterDescription, Capabilities, MaskableFeature } from '../gpu/capabilities';
import { GpuDevice } from '../gpu/device';
import type { OpCall } from '../ops/calls';
import type { Activation, ActivationType, KvType, RowBucket } from '../ops/op';
import { type SamplerStates, samplerStates } from '../ops/sampler_state';
import { PAGE_SIZE } from '../ops/step_layout';
import { readModelSpec } from './architecture';
import { GpuTensors } from './gpu_tensors';
import { positive } from './hyperparameters';
import { type MemoryNeeds, memoryNeeds, preflightContext } from './memory';
import type { ModelSpec } from './model_spec';
import { ReferenceExecutor, type WeightRows } from './reference_executor';
import { ReferenceRunner } from './reference_runner';
import { StepEncoder, stepBufferWords, tileRowsOf } from './step_encoder';
import { preparePlans } from './webgpu_executor';
import { WebGpuRunner } from './webgpu_runner';
import { loadWeights, type WeightSink } from './weight_loader';
import { WeightUploader } from './weight_uploader';

/** Context in use when nobody asks for another: enough for a chat, and its KV cache fits anywhere. */
const DEFAULT_CONTEXT = 4096;

export interface LoadProgress {
  readonly phase: 'header' | 'weights' | 'compile';
  /** Bytes of weights read so far; 0 outside the weights phase. */
  readonly loaded: number;
  readonly total: number;
}

export interface LoadModelOptions {
  readonly backend: 'webgpu' | 'reference';
  /** Defaults to navigator.gpu. */
  readonly gpu?: GPU;
  /** Positions of KV cache; default: the trained context, at most 4096. */
  readonly contextLength?: number;
  readonly kvType?: KvType;
  /** Storage of activations between kernels; f16 needs shader-f16. */
  readonly activationType?: ActivationType;
  readonly without?: readonly MaskableFeature[];
  readonly defaultLimits?: boolean;
  /** Rows of the largest step: a prompt is prefilled in chunks of this size. */
  readonly maxRows?: number;
  /** Rows of one step that may be sampled or scored. */
  readonly maxSampledRows?: number;
  /** Sequences with GPU-resident state at once. */
  readonly maxSlots?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

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
  readonly memory: MemoryNeeds;
}

export interface LoadedModel {
  readonly gguf: Gguf;
  readonly description: ModelDescription;
  readonly runner: Runner;
  /** Set on the WebGPU backend: for profiling and counting. */
  readonly device: GpuDevice | undefined;
  readonly capabilities: Capabilities | undefined;
  readonly adapter: AdapterDescription | undefined;
  /** Resolves when the device is lost; never on the reference backend. */
  readonly lost: Promise<DeviceLostError>;
  dispose(): void;
}

interface Layout {
  readonly spec: ModelSpec;
  readonly limits: RunnerLimits;
  readonly states: SamplerStates;
  readonly logits: Activation;
  readonly kvType: KvType;
  readonly activationType: ActivationType;
}

function buckets(maxRows: number): RowBucket[] {
  const rows = [1, 16, maxRows].filter((size, i, all) => size <= maxRows && all.indexOf(size) === i);
  return rows.map((size, i) => ({ minRows: i === 0 ? 1 : rows[i - 1] + 1, maxRows: size }));
}

/** What a model will look like with these options; throws before anything is allocated when it cannot work. */
function layOut(gguf: Gguf, options: LoadModelOptions, capabilities: Capabilities | undefined): Layout {
  const architecture = optionalString(gguf, 'general.architecture') ?? '';
  const trained = positive(gguf, `${architecture}.context_length`, DEFAULT_CONTEXT);
  const contextLength = options.contextLength ?? Math.min(trained, DEFAULT_CONTEXT);
  if (!Number.isSafeInteger(contextLength) || contextLength < 1) {
    throw new InvalidOptionError('contextLength', `${contextLength} is not a positive integer`);
  }
  if (contextLength > trained) {
    throw new InvalidOptionError(
      'contextLength',
      `${contextLength} is more than the ${trained} positions the model was trained for`,
    );
  }
  if (options.activationType === 'f16' && !capabilities?.f16) {
    throw new InvalidOptionError('activationType', 'f16 needs a device with shader-f16');
  }
  const maxBinding = capabilities?.limits.maxStorageBufferBindingSize ?? Number.POSITIVE_INFINITY;
  const spec = readModelSpec(gguf, contextLength, maxBinding);
  const kvType = options.backend === 'reference' ? 'f32' : (options.kvType ?? 'f16');
  if (capabilities) preflightContext(spec, contextLength, kvType, capabilities.limits);
  const maxSlots = options.maxSlots ?? 1;
  const maxRows = options.maxRows ?? 256;
  const maxSampledRows = options.maxSampledRows ?? 16;
  const numPages = Math.ceil(contextLength / PAGE_SIZE);
  return {
    spec,
    limits: {
      vocabSize: spec.vocabSize,
      contextLength,
      maxRows,
      maxSampledRows,
      maxSlots,
      pageSize: PAGE_SIZE,
      numPages,
    },
    states: samplerStates({ vocabSize: spec.vocabSize, maxSlots, maxSampledRows }),
    logits: { name: 'logits', cols: spec.vocabSize, rows: 'sampled', type: 'f32' },
    kvType,
    activationType: options.activationType ?? 'f32',
  };
}

function plansOf(layout: Layout): { readonly bucket: RowBucket; readonly calls: readonly OpCall[] }[] {
  const { spec, states, activationType } = layout;
  return buckets(layout.limits.maxRows).map((bucket) => ({
    bucket,
    calls: spec.plan(bucket, { activationType, states }),
  }));
}

function describe(gguf: Gguf, layout: Layout, calls: readonly OpCall[]): ModelDescription {
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
    memory: memoryNeeds(spec, calls, { ...limits, kvType: layout.kvType }),
  };
}

/** What a file would need, without loading it: for `tessera inspect`. */
export function describeModel(gguf: Gguf, options: LoadModelOptions): ModelDescription {
  const layout = layOut(gguf, options, undefined);
  const plans = plansOf(layout);
  return describe(gguf, layout, plans[plans.length - 1].calls);
}

/**
 * Reads a GGUF file and makes it ready to run. Weights are streamed: host memory holds a few MiB at a time.
 * Rejects with InvalidFileError, UnsupportedModelError, InvalidOptionError, OutOfMemoryError, WebGpuUnavailableError, SourceError or
 * AbortedError; whatever was allocated by then is freed.
 */
export async function loadModel(source: ByteSource, options: LoadModelOptions): Promise<LoadedModel> {
  options.onProgress?.({ phase: 'header', loaded: 0, total: 0 });
  const gguf = await readGguf(source, { signal: options.signal });
  return options.backend === 'reference' ? loadOnReference(gguf, source, options) : loadOnWebGpu(gguf, source, options);
}

async function loadOnReference(gguf: Gguf, source: ByteSource, options: LoadModelOptions): Promise<LoadedModel> {
  const layout = layOut(gguf, options, undefined);
  const calls = plansOf(layout)[0].calls;
  const matrices = new Map<string, Float32Array>();
  const vectors = new Map<string, Float32Array>();
  const sink: WeightSink = {
    async weightRows(weight, firstRow, rows, bytes) {
      let matrix = matrices.get(weight.name);
      if (!matrix) {
        matrix = new Float32Array(weight.rows * weight.cols);
        matrices.set(weight.name, matrix);
      }
      const perRow = rowBytes(weight.format, weight.cols);
      for (let row = 0; row < rows; row++) {
        const values = decodeRow(weight.format, bytes.subarray(row * perRow, (row + 1) * perRow), weight.cols);
        matrix.set(values, (firstRow + row) * weight.cols);
      }
    },
    async vector(name, _length, values) {
      vectors.set(name, values);
    },
  };
  await loadWeights(gguf, source, layout.spec, sink, weightOptions(options));
  const weightRows = new Map<string, WeightRows>();
  for (const { weight } of layout.spec.weights) {
    const matrix = matrices.get(weight.name);
    if (!matrix) throw new InternalError(`weight "${weight.name}" was not read`);
    weightRows.set(weight.name, (row) => matrix.subarray(row * weight.cols, (row + 1) * weight.cols));
  }
  const executor = new ReferenceExecutor(weightRows, vectors, layout.limits.numPages);
  const runner = new ReferenceRunner(executor, calls, layout.states, layout.limits, layout.logits);
  return {
    gguf,
    description: describe(gguf, layout, calls),
    runner,
    device: undefined,
    capabilities: undefined,
    adapter: undefined,
    lost: new Promise(() => {}),
    dispose: () => runner.dispose(),
  };
}

function weightOptions(options: LoadModelOptions): Parameters<typeof loadWeights>[4] {
  return {
    signal: options.signal,
    onProgress: (loaded, total) => options.onProgress?.({ phase: 'weights', loaded, total }),
  };
}

async function loadOnWebGpu(gguf: Gguf, source: ByteSource, options: LoadModelOptions): Promise<LoadedModel> {
  const device = await GpuDevice.create({
    gpu: options.gpu,
    without: options.without,
    defaultLimits: options.defaultLimits,
  });
  let tensors: GpuTensors | undefined;
  try {
    const layout = layOut(gguf, options, device.capabilities);
    const { spec, limits } = layout;
    const plans = plansOf(layout);
    const tileRows = tileRowsOf(plans[0].calls);
    const capacity = { ...limits, maxSegments: limits.maxSlots, tileRows };
    tensors = await GpuTensors.create(device, {
      maxRows: limits.maxRows,
      maxSampledRows: limits.maxSampledRows,
      numPages: limits.numPages,
      kvType: layout.kvType,
      stepWords: stepBufferWords(capacity),
    });
    await uploadWeights(device, tensors, gguf, source, spec, options);
    options.onProgress?.({ phase: 'compile', loaded: 0, total: 0 });
    const owned = tensors;
    const prepared = await preparePlans(
      device,
      owned,
      plans.map(({ bucket, calls }) => ({
        calls,
        target: {
          capabilities: device.capabilities,
          bucket,
          kvType: layout.kvType,
          contextLength: limits.contextLength,
          maxSampledRows: limits.maxSampledRows,
          maxSlots: limits.maxSlots,
          weightParts: (weight) => owned.weightParts(weight),
        },
      })),
    );
    const runner = await WebGpuRunner.create({
      gpu: device,
      tensors: owned,
      plans: prepared.map((plan, i) => ({ bucket: plans[i].bucket, plan })),
      encoder: new StepEncoder(capacity),
      states: layout.states,
      limits,
      logits: layout.logits,
    });
    return {
      gguf,
      description: describe(gguf, layout, plans[plans.length - 1].calls),
      runner,
      device,
      capabilities: device.capabilities,
      adapter: device.capabilities.adapter,
      lost: device.lost,
      dispose() {
        runner.dispose();
        device.dispose();
      },
    };
  } catch (error) {
    tensors?.dispose();
    device.dispose();
    throw error;
  }
}

async function uploadWeights(
  device: GpuDevice,
  tensors: GpuTensors,
  gguf: Gguf,
  source: ByteSource,
  spec: ModelSpec,
  options: LoadModelOptions,
): Promise<void> {
  for (const { weight } of spec.weights) await tensors.addWeight(weight);
  const uploader = await WeightUploader.create(device);
  try {
    await loadWeights(
      gguf,
      source,
      spec,
      {
        weightRows: (weight, firstRow, rows, bytes) =>
          uploader.write(weight, tensors.weightParts(weight), firstRow, rows, bytes),
        vector: (name, length, values) => tensors.addVector({ name, length }, values),
      },
      weightOptions(options),
    );
    await uploader.finish();
  } finally {
    uploader.dispose();
  }
}
