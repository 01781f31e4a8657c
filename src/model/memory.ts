import { OutOfMemoryError } from '../errors';
import type { DeviceLimits } from '../gpu/capabilities';
import type { OpCall } from '../ops/calls';
import { kvBlockSize } from '../ops/kv_layout';
import { KV_TYPES, type KvType } from '../ops/op';
import { PAGE_SIZE } from '../ops/step_layout';
import { planeBytes } from '../ops/weights/layout';
import { tensorsOf } from './call_tensors';
import { kvBytes } from './gpu_tensors';
import type { ModelSpec } from './model_spec';

/** Bytes that a model needs on the GPU. */
export interface MemoryNeeds {
  readonly weights: number;
  readonly kv: number;
  /** Activations, sampler state and tables of the largest step. */
  readonly scratch: number;
  readonly total: number;
}

export interface MemoryShape {
  readonly contextLength: number;
  readonly numPages: number;
  readonly kvType: KvType;
  readonly maxRows: number;
  readonly maxSampledRows: number;
}

export function memoryNeeds(spec: ModelSpec, calls: readonly OpCall[], shape: MemoryShape): MemoryNeeds {
  // What only some steps need is allocated when the first of them comes.
  const found = tensorsOf(calls.filter(({ when }) => when === undefined));
  let weights = 0;
  for (const { weight } of spec.weights) {
    const bytes = planeBytes(weight.format, weight.rows, weight.cols);
    weights += bytes.quants + bytes.scales;
  }
  const kv = spec.caches.reduce((sum, cache) => sum + 2 * kvBytes(cache, shape.numPages, shape.kvType), 0);
  let scratch = 0;
  for (const { vector } of spec.vectors) scratch += vector.length * 4;
  for (const state of found.states) scratch += state.words * 4;
  for (const tensor of found.activations) {
    const rows = tensor.rows === 'step' ? shape.maxRows : shape.maxSampledRows;
    scratch += rows * tensor.cols * (tensor.type === 'f16' ? 2 : 4);
  }
  return { weights, kv, scratch, total: weights + kv + scratch };
}

/** Refuses, before anything is allocated, a KV pool that no binding of the device can hold; says the largest context that fits, and which KV type would. */
export function preflightContext(spec: ModelSpec, contextLength: number, kvType: KvType, limits: DeviceLimits): void {
  const limit = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const pageBytes = (type: KvType): number => Math.max(0, ...spec.caches.map((cache) => kvBytes(cache, 1, type)));
  const perPage = pageBytes(kvType);
  const pages = Math.ceil(contextLength / PAGE_SIZE);
  if (perPage * pages <= limit) return;
  const fits = Math.floor(limit / perPage) * PAGE_SIZE;
  const smaller = KV_TYPES.slice(KV_TYPES.indexOf(kvType) + 1).find(
    (type) => spec.caches.every(({ headDim }) => headDim % kvBlockSize(type) === 0) && pageBytes(type) * pages <= limit,
  );
  const offer = smaller === undefined ? '' : `, and ${smaller} would hold this one`;
  throw new OutOfMemoryError(
    `a context of ${contextLength} needs ${perPage * pages} bytes of KV cache per layer, one buffer of this device holds ${limit}: the largest context that fits in ${kvType} is ${fits}${offer}`,
    {
      details: {
        contextLength,
        bytes: perPage * pages,
        limit,
        largestContext: fits,
        ...(smaller && { kvType: smaller }),
      },
    },
  );
}

/** Bytes that the KV pool may take beyond one context: several conversations at once, and prefixes that are kept. */
const POOL_BYTES = 256 * 2 ** 20;

/**
 * Pages of the KV pool: a whole context, and as many more, up to a context for each slot, as a bounded share of memory and one binding
 * of the device hold.
 */
export function poolPages(
  spec: ModelSpec,
  contextLength: number,
  kvType: KvType,
  maxSlots: number,
  maxBinding: number,
): number {
  const context = Math.ceil(contextLength / PAGE_SIZE);
  const perPage = spec.caches.map((cache) => kvBytes(cache, 1, kvType));
  const total = 2 * perPage.reduce((sum, bytes) => sum + bytes, 0);
  const affordable = total === 0 ? context : Math.floor(POOL_BYTES / total);
  const bindable = Math.floor(maxBinding / Math.max(1, ...perPage));
  return Math.max(context, Math.min(context * maxSlots, affordable, bindable));
}
