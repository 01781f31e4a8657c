import { slidingPagesFor } from '../engine/kv_pages';
import type { RunnerLimits } from '../engine/runner';
import { OutOfMemoryError } from '../errors';
import type { DeviceLimits } from '../gpu/capabilities';
import type { OpCall } from '../ops/calls';
import { kvBlockSize } from '../ops/kv_layout';
import { type Dispatch, KV_TYPES, type KvType } from '../ops/op';
import { PAGE_SIZE } from '../ops/step_layout';
import { planeBytes } from '../ops/weights/layout';
import { tensorsOf } from './call_tensors';
import { cachePages, kvBytes } from './gpu_tensors';
import type { ModelSpec } from './model_spec';

/** Bytes that a model needs on the GPU. */
export interface MemoryNeeds {
  readonly weights: number;
  readonly kv: number;
  /** Activations of the largest step, sampler state, tables, and what kernels keep between their dispatches. */
  readonly scratch: number;
  readonly total: number;
}

export interface MemoryShape {
  readonly contextLength: number;
  readonly numPages: number;
  readonly sliding?: { readonly numPages: number };
  readonly kvType: KvType;
  readonly maxRows: number;
  readonly maxSampledRows: number;
}

/** What a model allocates: `calls` of its largest step, `kernels` of steps of any size. */
export function memoryNeeds(
  spec: ModelSpec,
  calls: readonly OpCall[],
  kernels: readonly Dispatch[],
  shape: MemoryShape,
): MemoryNeeds {
  // What only some steps need is allocated when the first of them comes.
  const found = tensorsOf(calls.filter(({ when }) => when === undefined));
  let weights = 0;
  for (const { weight } of spec.weights) {
    const bytes = planeBytes(weight.format, weight.rows, weight.cols);
    weights += bytes.quants + bytes.scales;
  }
  const kv = spec.caches.reduce((sum, cache) => sum + 2 * kvBytes(cache, cachePages(cache, shape), shape.kvType), 0);
  let scratch = 0;
  for (const { vector } of spec.vectors) scratch += vector.length * 4;
  for (const state of found.states) scratch += state.words * 4;
  for (const tensor of found.activations) {
    const rows = tensor.rows === 'step' ? shape.maxRows : shape.maxSampledRows;
    scratch += rows * tensor.cols * (tensor.type === 'f16' ? 2 : 4);
  }
  scratch += kernelScratch(kernels);
  return { weights, kv, scratch, total: weights + kv + scratch };
}

/** Kernels share scratch by its name, as large as the largest user needs it. */
function kernelScratch(kernels: readonly Dispatch[]): number {
  const largest = new Map<string, number>();
  for (const binding of kernels.flatMap(({ bindings }) => bindings)) {
    if (binding.kind !== 'scratch') continue;
    largest.set(binding.name, Math.max(binding.bytes, largest.get(binding.name) ?? 0));
  }
  return [...largest.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** Pages of K and V: `sliding` where caches with a window are better off with a pool of their own. */
export type KvPools = Pick<RunnerLimits, 'numPages' | 'sliding'>;

/** Pages that one sequence needs: of a whole context, and of the widest window, where that takes fewer. */
function sequencePages(spec: ModelSpec, contextLength: number, maxRows: number): KvPools {
  const numPages = Math.ceil(contextLength / PAGE_SIZE);
  const window = Math.max(0, ...spec.caches.map((cache) => cache.window ?? 0));
  if (window === 0) return { numPages };
  const pages = slidingPagesFor(window, maxRows, PAGE_SIZE);
  return pages < numPages ? { numPages, sliding: { window, numPages: pages } } : { numPages };
}

/** Refuses, before anything is allocated, a KV pool that no binding of the device can hold; says the largest context that fits, and which KV type would. */
export function preflightContext(
  spec: ModelSpec,
  {
    contextLength,
    maxRows,
    kvType,
  }: { readonly contextLength: number; readonly maxRows: number; readonly kvType: KvType },
  limits: DeviceLimits,
): void {
  const limit = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const bytesOf = (context: number, type: KvType): number => {
    const pools = sequencePages(spec, context, maxRows);
    return Math.max(0, ...spec.caches.map((cache) => kvBytes(cache, cachePages(cache, pools), type)));
  };
  const bytes = bytesOf(contextLength, kvType);
  if (bytes <= limit) return;
  // More context never takes fewer bytes.
  let pages = 0;
  for (let tooMany = Math.ceil(contextLength / PAGE_SIZE); tooMany - pages > 1; ) {
    const middle = Math.floor((pages + tooMany) / 2);
    if (bytesOf(middle * PAGE_SIZE, kvType) <= limit) pages = middle;
    else tooMany = middle;
  }
  const fits = pages * PAGE_SIZE;
  const smaller = KV_TYPES.slice(KV_TYPES.indexOf(kvType) + 1).find(
    (type) =>
      spec.caches.every(({ headDim }) => headDim % kvBlockSize(type) === 0) && bytesOf(contextLength, type) <= limit,
  );
  const offer = smaller === undefined ? '' : `, and ${smaller} would hold this one`;
  throw new OutOfMemoryError(
    `a context of ${contextLength} needs ${bytes} bytes of KV cache per layer, one buffer of this device holds ${limit}: the largest context that fits in ${kvType} is ${fits}${offer}`,
    { details: { contextLength, bytes, limit, largestContext: fits, ...(smaller && { kvType: smaller }) } },
  );
}

/** Bytes that the KV pools may take beyond one context: several conversations at once, and prefixes that are kept. */
const POOL_BYTES = 256 * 2 ** 20;

/**
 * Pages of the KV pools: a whole context, and as many more, up to a context for each slot, as a bounded share of memory and one binding
 * of the device hold.
 */
export function kvPools(
  spec: ModelSpec,
  options: {
    readonly contextLength: number;
    readonly maxRows: number;
    readonly maxSlots: number;
    readonly kvType: KvType;
    readonly maxBinding: number;
  },
): KvPools {
  const { contextLength, maxRows, maxSlots, kvType, maxBinding } = options;
  const one = sequencePages(spec, contextLength, maxRows);
  const bytes = spec.caches.reduce((sum, cache) => sum + 2 * kvBytes(cache, cachePages(cache, one), kvType), 0);
  const sequences = bytes === 0 ? 1 : Math.max(1, Math.min(maxSlots, POOL_BYTES / bytes));
  const pool = (pages: number, slides: boolean): number => {
    const perPage = spec.caches
      .filter((cache) => (cache.window !== undefined && one.sliding !== undefined) === slides)
      .map((cache) => kvBytes(cache, 1, kvType));
    const bindable = Math.floor(maxBinding / Math.max(1, ...perPage));
    return Math.max(pages, Math.min(Math.floor(pages * sequences), bindable));
  };
  const numPages = pool(one.numPages, false);
  if (!one.sliding) return { numPages };
  return { numPages, sliding: { window: one.sliding.window, numPages: pool(one.sliding.numPages, true) } };
}
