import { AbortedError, InvalidOptionError, throwIfAborted, WorkerLostError } from '../errors';
import { fromWire } from '../errors/wire';
import type { MaskableFeature } from '../gpu/capabilities';
import type { BenchmarkReport, BenchmarkSettings } from '../model/bench/report';
import type { BenchmarkProgress } from '../model/bench/suite';
import type { ActivationType } from '../ops/op';
import type { BenchmarkMessage } from '../worker/bench_protocol';
import type { BenchmarkRequest } from '../worker/run_benchmark';
import { type ModelInput, toModelSource } from './model_input';

export interface BenchmarkOptions {
  readonly model: ModelInput;
  /** Settings that are not given are the suite's defaults (docs/benchmarks.md). */
  readonly settings?: Partial<BenchmarkSettings>;
  /** Fewer and shorter measurements. */
  readonly quick?: boolean;
  /** Hold the kernels that the model needs against the reference first, default true: when one is wrong nothing is measured. */
  readonly selfTest?: boolean;
  /** A table of the kernels of a step, where the GPU has timestamps. */
  readonly profile?: boolean;
  readonly backend?: 'webgpu' | 'reference';
  readonly contextLength?: number;
  /** What lies between kernels; default f32. f16 needs shader-f16. */
  readonly activationType?: ActivationType;
  readonly without?: readonly MaskableFeature[];
  /** Default: a worker of its own where there are workers. */
  readonly worker?: boolean;
  readonly onProgress?: (progress: BenchmarkProgress) => void;
  /** Ends the run: it rejects with `AbortedError`. */
  readonly signal?: AbortSignal;
}

/**
 * Measures a model on this machine. Rejects like `createEngine`; a figure that cannot be had is in the report's `leftOut` with its reason.
 */
export async function runBenchmark(options: BenchmarkOptions): Promise<BenchmarkReport> {
  const { model, onProgress, signal } = options;
  const { settings = {}, quick = false, selfTest = true, profile = false, backend = 'webgpu' } = options;
  const { contextLength, activationType, without, worker = typeof Worker === 'function' } = options;
  throwIfAborted(signal);
  if (worker && typeof Worker !== 'function') {
    throw new InvalidOptionError('worker', 'there are no workers here; use worker: false');
  }
  const source = toModelSource(model, worker);
  const request = {
    source,
    settings,
    quick,
    selfTest,
    profile,
    load: { backend, contextLength, activationType, without },
  };
  if (worker) return await inWorker(request, onProgress, signal);
  const { benchmark } = await import('../worker/run_benchmark');
  return await benchmark(request, { onProgress, signal });
}

/** Ending the worker frees all that it had, at once, whatever it was doing. */
async function inWorker(
  request: BenchmarkRequest,
  onProgress: BenchmarkOptions['onProgress'],
  signal: AbortSignal | undefined,
): Promise<BenchmarkReport> {
  const worker = startWorker();
  const abort = new AbortController();
  try {
    return await new Promise<BenchmarkReport>((resolve, reject) => {
      const aborted = (): void => reject(new AbortedError('aborted', { cause: signal?.reason }));
      signal?.addEventListener('abort', aborted, { signal: abort.signal });
      worker.addEventListener('message', ({ data }: MessageEvent<BenchmarkMessage>) => {
        if (data.kind === 'progress') onProgress?.(data.progress);
        else if (data.kind === 'done') resolve(data.report);
        else reject(fromWire(data.error));
      });
      worker.addEventListener('error', ({ message }) => {
        reject(new WorkerLostError(`the worker failed: ${message || 'its script could not be loaded'}`));
      });
      worker.postMessage(request);
    });
  } finally {
    abort.abort();
    worker.terminate();
  }
}

/** Written so that bundlers see the worker's file. */
function startWorker(): Worker {
  return new Worker(new URL('../worker/bench_entry.ts', import.meta.url), { type: 'module', name: 'tessera-bench' });
}
