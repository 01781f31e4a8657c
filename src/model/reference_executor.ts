import type { KvGroup } from '../engine/runner';
import { featuresOf } from '../engine/step_features';
import { InternalError } from '../errors';
import type { OpCall } from '../ops/calls';
import { kvRounded } from '../ops/kv_codec';
import type { Activation, KvCache, KvType, ReferenceEnv, ReferenceStep, State, Vector, Weight } from '../ops/op';
import { checkCall, runReference } from '../ops/registry';
import { PAGE_SIZE } from '../ops/step_layout';
import { cachePages, type GpuTensorSizes } from './gpu_tensors';

/** Where the reference executor gets a weight's values: a decoded row, valid until the next call for the same weight. */
export type WeightRows = (row: number) => Float32Array;

/**
 * Runs a plan on typed arrays: f32 storage, f64 accumulation, slow and obvious. It is the truth for tests, the fallback where there is
 * no WebGPU, and the judge of the self-test. f16 activations and KV are kept in f32 here; a quantised cache is rounded as on the GPU.
 */
export class ReferenceExecutor {
  private readonly activations = new Map<string, Float32Array>();
  private readonly kvPages = new Map<string, { readonly cache: KvCache; readonly values: Float32Array }>();
  private readonly states = new Map<string, Uint32Array>();

  /** @param pools pages of the KV pools */
  constructor(
    private readonly weights: ReadonlyMap<string, WeightRows>,
    private readonly vectors: ReadonlyMap<string, Float32Array>,
    private readonly pools: Pick<GpuTensorSizes, 'numPages' | 'sliding'>,
    private readonly kvType: KvType,
  ) {}

  /** `afterCall` hears of the calls that this step runs. */
  run(calls: readonly OpCall[], step: ReferenceStep, afterCall?: (call: OpCall, index: number) => void): void {
    const env = this.environment(step);
    const features = featuresOf(step.source);
    calls.forEach((call, index) => {
      checkCall(call);
      if (call.when && !features.includes(call.when)) return;
      runReference(call, env);
      afterCall?.(call, index);
    });
  }

  /** [rows × cols] of the last step, for a tensor that it wrote or that the caller wants to fill. */
  activation(tensor: Activation, step: ReferenceStep): Float32Array {
    const size = (tensor.rows === 'step' ? step.rows.length : step.sampled.length) * tensor.cols;
    let array = this.activations.get(tensor.name);
    if (array === undefined || array.length < size) {
      const grown = new Float32Array(size);
      if (array) grown.set(array);
      array = grown;
      this.activations.set(tensor.name, array);
    }
    return array.subarray(0, size);
  }

  kv(cache: KvCache, which: 'k' | 'v'): Float32Array {
    const key = `${which}${cache.layer}`;
    const size = this.pagesOf(cache) * cache.numKvHeads * PAGE_SIZE * cache.headDim;
    let found = this.kvPages.get(key);
    if (found === undefined) this.kvPages.set(key, (found = { cache, values: new Float32Array(size) }));
    return found.values;
  }

  /** Pages of the cache's pool. */
  pagesOf(cache: KvCache): number {
    return cachePages(cache, this.pools);
  }

  /** Which pages hold the cache: without pools of their own, caches with a window are of the full group. */
  groupOf(cache: KvCache): KvGroup {
    return cache.window !== undefined && this.pools.sliding !== undefined ? 'sliding' : 'full';
  }

  /** The values of a row, valid until the next call for the same weight. */
  weightRow({ name }: Weight, row: number): Float32Array {
    const rows = this.weights.get(name);
    if (!rows) throw new InternalError(`weight "${name}" is not loaded`);
    return rows(row);
  }

  state(state: State): Uint32Array {
    let array = this.states.get(state.name);
    if (array === undefined) {
      array = new Uint32Array(state.words);
      this.states.set(state.name, array);
    }
    return array;
  }

  /** Copies whole pages within the pool of every layer of the group. */
  copyPages(pairs: readonly (readonly [from: number, to: number])[], group: KvGroup): void {
    for (const { cache, values } of this.kvPages.values()) {
      if (this.groupOf(cache) !== group) continue;
      const pageSize = values.length / this.pagesOf(cache);
      for (const [from, to] of pairs) values.copyWithin(to * pageSize, from * pageSize, (from + 1) * pageSize);
    }
  }

  private environment(step: ReferenceStep): ReferenceEnv {
    return {
      batch: step,
      activation: (tensor) => this.activation(tensor, step),
      weightRow: (tensor, row) => this.weightRow(tensor, row),
      vector: (tensor: Vector) => {
        const vector = this.vectors.get(tensor.name);
        if (!vector) throw new InternalError(`vector "${tensor.name}" is not loaded`);
        return vector;
      },
      kv: (cache, which) => this.kv(cache, which),
      cached: (values) => kvRounded(values, this.kvType),
      state: (state) => this.state(state),
    };
  }
}
