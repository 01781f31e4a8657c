import type { KvGroup, PageStore } from '../engine/runner';
import { InternalError } from '../errors';
import type { KvCache } from '../ops/op';
import { fingerprint } from './fingerprint';
import type { ModelSpec } from './model_spec';
import type { ReferenceExecutor } from './reference_executor';

/** Weights of which the first row goes into the identity. */
const SAMPLED_WEIGHTS = 16;

/** The pages of the reference executor's pools: page after page, in each the K and V of every layer of the group, as f32. */
export class ReferencePageStore implements PageStore {
  /** `layout`: what pages of two runs must have in common; `inOrder` runs work after the steps that were submitted before. */
  constructor(
    private readonly executor: ReferenceExecutor,
    private readonly spec: Pick<ModelSpec, 'caches' | 'weights'>,
    private readonly layout: string,
    private readonly inOrder: <T>(work: () => T) => Promise<T>,
  ) {}

  pageBytes(group: KvGroup): number {
    return this.pools(group).reduce((sum, { pageSize }) => sum + 4 * pageSize, 0);
  }

  async identity(): Promise<string> {
    const { weights } = this.spec;
    const step = Math.max(1, Math.floor(weights.length / SAMPLED_WEIGHTS));
    const sampled = weights.filter((_, i) => i % step === 0);
    const rows = sampled.map(({ weight }) => {
      const { buffer, byteOffset, byteLength } = this.executor.weightRow(weight, 0);
      return new Uint8Array(buffer, byteOffset, byteLength);
    });
    return fingerprint([new TextEncoder().encode(`reference ${this.layout}`), ...rows]);
  }

  read(pages: readonly number[], group: KvGroup): Promise<Uint8Array> {
    return this.inOrder(() => {
      const bytes = new Uint8Array(pages.length * this.pageBytes(group));
      this.eachPart(pages, group, (part, at) => {
        bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
      });
      return bytes;
    });
  }

  /** Nothing overtakes the read. */
  snapshot(pages: readonly number[], group: KvGroup): Promise<Uint8Array> {
    return this.read(pages, group);
  }

  write(pages: readonly number[], bytes: Uint8Array, group: KvGroup): void {
    const expected = pages.length * this.pageBytes(group);
    if (bytes.length !== expected)
      throw new InternalError(`${bytes.length} bytes for ${pages.length} pages, expected ${expected}`);
    // Not slice(): that of Node's buffers copies nothing.
    const own = new Uint8Array(bytes);
    void this.inOrder(() => {
      this.eachPart(pages, group, (part, at) => part.set(new Float32Array(own.buffer, at, part.length)));
    });
  }

  /** `visit` gets the values of a page in each pool, and where they are in bytes. */
  private eachPart(pages: readonly number[], group: KvGroup, visit: (part: Float32Array, at: number) => void): void {
    const pools = this.pools(group);
    let at = 0;
    for (const page of pages) {
      for (const { values, pageSize } of pools) {
        visit(values.subarray(page * pageSize, (page + 1) * pageSize), at);
        at += 4 * pageSize;
      }
    }
  }

  private pools(group: KvGroup): { readonly values: Float32Array; readonly pageSize: number }[] {
    const caches = this.spec.caches.filter((cache) => this.executor.groupOf(cache) === group);
    const kv = (cache: KvCache) => [this.executor.kv(cache, 'k'), this.executor.kv(cache, 'v')];
    return caches.flatMap((cache) =>
      kv(cache).map((values) => ({ values, pageSize: values.length / this.executor.pagesOf(cache) })),
    );
  }
}
