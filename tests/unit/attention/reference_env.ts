import type { Batch } from '../../../src/engine/runner';
import { describeStep } from '../../../src/model/step_encoder';
import type { Activation, KvCache, ReferenceEnv } from '../../../src/ops/op';
import { PAGE_SIZE } from '../../../src/ops/step_layout';

/** An environment for references over arrays that the test holds. */
export class TestEnv implements ReferenceEnv {
  readonly batch;
  private readonly arrays = new Map<string, Float32Array>();

  constructor(
    batch: Batch,
    private readonly numPages: number,
    private readonly vectors: Readonly<Record<string, Float32Array>> = {},
  ) {
    this.batch = describeStep(batch);
  }

  activation(tensor: Activation): Float32Array {
    return this.array(tensor.name, this.batch.rows.length * tensor.cols);
  }

  kv(cache: KvCache, which: 'k' | 'v'): Float32Array {
    return this.array(`${which}${cache.layer}`, this.numPages * cache.numKvHeads * PAGE_SIZE * cache.headDim);
  }

  cached(values: Float32Array): Float32Array {
    return values;
  }

  vector({ name }: { readonly name: string }): Float32Array {
    return this.vectors[name];
  }

  weightRow(): Float32Array {
    throw new Error('these ops have no weights');
  }

  state(): Uint32Array {
    throw new Error('these ops have no state');
  }

  private array(name: string, size: number): Float32Array {
    const array = this.arrays.get(name) ?? new Float32Array(size);
    this.arrays.set(name, array);
    return array;
  }
}
