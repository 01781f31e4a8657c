import type { KvGroup, PageStore } from '../engine/runner';
import { InternalError } from '../errors';
import type { GpuDevice } from '../gpu/device';
import { fingerprint } from './fingerprint';
import type { GpuTensors } from './gpu_tensors';
import { mappedBytes, readBuffer } from './read_buffer';

/** Bytes that are staged at once. */
const CHUNK_BYTES = 32 * 2 ** 20;
/** Weights that the identity samples, and how much of each. */
const SAMPLED_WEIGHTS = 16;
const SAMPLED_BYTES = 1024;

/** The pages of a pool on the GPU: page after page, in each the K and V of every layer of the group in the pool's order. */
export class GpuPageStore implements PageStore {
  #identity: Promise<string> | undefined;

  /** `layout`: the storage of the cache, in words. */
  constructor(
    private readonly gpu: GpuDevice,
    private readonly tensors: GpuTensors,
    private readonly layout: string,
  ) {}

  pageBytes(group: KvGroup): number {
    return this.tensors.kvBuffers(group).reduce((sum, { pageBytes }) => sum + pageBytes, 0);
  }

  identity(): Promise<string> {
    this.#identity ??= this.identify();
    return this.#identity;
  }

  async snapshot(pages: readonly number[], group: KvGroup): Promise<Uint8Array> {
    const pageBytes = this.pageBytes(group);
    // A model of which every layer slides has no others.
    if (pageBytes === 0) return new Uint8Array();
    const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / pageBytes));
    const chunks: Promise<Uint8Array>[] = [];
    // All copies are submitted before this returns.
    for (let at = 0; at < pages.length; at += perChunk)
      chunks.push(this.readChunk(pages.slice(at, at + perChunk), group));
    const bytes = new Uint8Array(pages.length * pageBytes);
    for (const [i, chunk] of (await Promise.all(chunks)).entries()) bytes.set(chunk, i * perChunk * pageBytes);
    return bytes;
  }

  async read(pages: readonly number[], group: KvGroup): Promise<Uint8Array> {
    const pageBytes = this.pageBytes(group);
    const bytes = new Uint8Array(pages.length * pageBytes);
    if (bytes.length === 0) return bytes;
    const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / pageBytes));
    for (let at = 0; at < pages.length; at += perChunk) {
      bytes.set(await this.readChunk(pages.slice(at, at + perChunk), group), at * pageBytes);
    }
    return bytes;
  }

  write(pages: readonly number[], bytes: Uint8Array, group: KvGroup): void {
    const expected = this.pageBytes(group);
    if (bytes.length !== pages.length * expected) {
      throw new InternalError(`${bytes.length} bytes for ${pages.length} pages of ${expected}`);
    }
    // A copy: the words may lie anywhere in the caller's bytes, and in memory that WebGPU does not take.
    const own = new Uint8Array(bytes);
    let at = 0;
    for (const page of pages) {
      for (const { buffer, pageBytes } of this.tensors.kvBuffers(group)) {
        this.gpu.device.queue.writeBuffer(buffer, page * pageBytes, own, at, pageBytes);
        at += pageBytes;
      }
    }
  }

  /** Submits the copy before it returns. */
  private async readChunk(pages: readonly number[], group: KvGroup): Promise<Uint8Array> {
    const { device } = this.gpu;
    const staging = await this.gpu.checked('pages', () => {
      const buffer = device.createBuffer({
        label: 'pages',
        size: pages.length * this.pageBytes(group),
        usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      });
      const encoder = device.createCommandEncoder();
      let at = 0;
      for (const page of pages) {
        for (const { buffer: from, pageBytes } of this.tensors.kvBuffers(group)) {
          encoder.copyBufferToBuffer(from, page * pageBytes, buffer, at, pageBytes);
          at += pageBytes;
        }
      }
      device.queue.submit([encoder.finish()]);
      return buffer;
    });
    try {
      return new Uint8Array(await mappedBytes(this.gpu, staging, 'pages'));
    } finally {
      staging.destroy();
    }
  }

  private async identify(): Promise<string> {
    const weights = this.tensors.loadedWeights();
    const step = Math.max(1, Math.floor(weights.length / SAMPLED_WEIGHTS));
    const parts: Uint8Array[] = [new TextEncoder().encode(this.layout)];
    for (let i = 0; i < weights.length; i += step) {
      const { quants } = weights[i];
      parts.push(new Uint8Array(await readBuffer(this.gpu, quants, 0, Math.min(SAMPLED_BYTES, quants.size))));
    }
    return fingerprint(parts);
  }
}
