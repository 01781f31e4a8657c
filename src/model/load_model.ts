import { expectPurpose } from '../engine/purpose';
import type { Runner } from '../engine/runner';
import type { DeviceLostError } from '../errors';
import type { Gguf } from '../formats/gguf/gguf';
import type { AdapterDescription, Capabilities } from '../gpu/capabilities';
import { GpuDevice } from '../gpu/device';
import type { TuningChoice } from './autotune/autotune';
import { wrongKernels } from './autotune/wrong_kernels';
import { describe, type ModelDescription } from './describe_model';
import { type LoadModelOptions, layOut, type ModelLayout, plansOf } from './layout';
import type { MemoryNeeds } from './memory';
import { type ModelOrigin, readHeader } from './origin';
import { GpuPageStore } from './page_store';
import { prepareWebGpu } from './prepare_webgpu';
import { WebGpuRunner } from './webgpu_runner';
import type { LoadOptions } from './weight_loader';

export interface LoadedModel {
  readonly gguf: Gguf;
  readonly description: ModelDescription;
  readonly runner: Runner;
  /** Set on the WebGPU backend: for profiling and counting. */
  readonly device: GpuDevice | undefined;
  readonly capabilities: Capabilities | undefined;
  readonly adapter: AdapterDescription | undefined;
  /** What the autotuner chose; empty where the defaults run. */
  readonly tuning: readonly TuningChoice[];
  /** Sentences for the user: why the answers are not to be trusted. */
  readonly warnings: readonly string[];
  /** Resolves when the device is lost; never on the reference backend. */
  readonly lost: Promise<DeviceLostError>;
  dispose(): void;
}

/**
 * Reads a GGUF file, or takes a synthetic model, and makes it ready to run. Weights are streamed: host memory holds a few MiB at a time.
 * Rejects with InvalidFileError, UnsupportedModelError, InvalidOptionError, OutOfMemoryError, WebGpuUnavailableError, SourceError or
 * AbortedError; whatever was allocated by then is freed.
 */
export async function loadModel(source: ModelOrigin, options: LoadModelOptions): Promise<LoadedModel> {
  options.onProgress?.({ phase: 'header', loaded: 0, total: 0 });
  const gguf = await readHeader(source, options);
  return options.backend === 'reference' ? loadOnReference(gguf, source, options) : loadOnWebGpu(gguf, source, options);
}

/** The part of the options that streaming weights needs. */
export function weightOptions(options: LoadModelOptions): LoadOptions {
  return {
    signal: options.signal,
    onProgress: (loaded, total) => options.onProgress?.({ phase: 'weights', loaded, total }),
  };
}

async function loadOnReference(gguf: Gguf, source: ModelOrigin, options: LoadModelOptions): Promise<LoadedModel> {
  const layout = layOut(gguf, options, undefined);
  if (options.purpose) expectPurpose(layout.limits, options.purpose);
  await options.beforeWeights?.();
  const [{ calls }] = plansOf(layout);
  const [{ prepareReference }, { ReferenceRunner }] = await Promise.all([
    import('./prepare_reference'),
    import('./reference_runner'),
  ]);
  const executor = await prepareReference(gguf, source, layout, weightOptions(options));
  const runner = new ReferenceRunner(executor, calls, layout.states, layout.limits, layout.logits, {
    spec: layout.spec,
    format: cacheFormat(layout),
  });
  return {
    gguf,
    description: describe(gguf, layout, calls, []),
    runner,
    device: undefined,
    capabilities: undefined,
    adapter: undefined,
    tuning: [],
    warnings: [],
    lost: new Promise(() => {}),
    dispose: () => runner.dispose(),
  };
}

/** With everything else that was allocated: scratch of the kernels that were chosen, buffers to write steps and to read results. */
function takenMemory({ weights, kv }: MemoryNeeds, total: number): MemoryNeeds {
  return { weights, kv, scratch: total - weights - kv, total };
}

/** What pages of two runs of a model must have in common, beside its weights. Tables of angles depend on the context. */
function cacheFormat({ spec, limits, kvType }: ModelLayout): string {
  return `${spec.architecture} ${kvType} ${limits.pageSize} ${limits.contextLength} ${spec.caches.length}`;
}

async function loadOnWebGpu(gguf: Gguf, source: ModelOrigin, options: LoadModelOptions): Promise<LoadedModel> {
  const { gpu, without, defaultLimits } = options;
  const device = await GpuDevice.create({ gpu, without, defaultLimits });
  try {
    const layout = layOut(gguf, options, device.capabilities);
    if (options.purpose) expectPurpose(layout.limits, options.purpose);
    await options.beforeWeights?.();
    const prepared = await prepareWebGpu(device, gguf, source, layout, {
      ...weightOptions(options),
      compileInBackground: options.compileInBackground,
      tune: options.tune,
      onTune: () => options.onProgress?.({ phase: 'tune', loaded: 0, total: 0 }),
      onCompile: () => options.onProgress?.({ phase: 'compile', loaded: 0, total: 0 }),
    });
    const warning = wrongKernels(prepared.tuning);
    if (warning !== undefined) options.onProgress?.({ phase: 'tune', loaded: 0, total: 0, notice: warning });
    const { states, limits, logits } = layout;
    const pages = new GpuPageStore(device, prepared.tensors, cacheFormat(layout));
    const runner = await WebGpuRunner.create({
      gpu: device,
      ...prepared,
      states,
      limits,
      logits,
      hidden: layout.spec.hidden,
      pages,
    });
    const { calls } = prepared.plans[prepared.plans.length - 1].plan;
    const description = describe(gguf, layout, calls, []);
    return {
      gguf,
      description: { ...description, memory: takenMemory(description.memory, device.allocatedBytes) },
      runner,
      device,
      capabilities: device.capabilities,
      adapter: device.capabilities.adapter,
      tuning: prepared.tuning,
      warnings: warning === undefined ? [] : [warning],
      lost: device.lost,
      dispose() {
        runner.dispose();
        device.dispose();
      },
    };
  } catch (error) {
    // Frees every buffer with it.
    device.dispose();
    throw error;
  }
}
