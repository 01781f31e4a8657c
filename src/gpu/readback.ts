import { DisposedError, InternalError } from '../errors';
import type { GpuDevice } from './device';

/** A copy that has been encoded and waits for its command buffer to run. */
export interface Readback {
  /** The copied words. Call it once, after the submit. Rejects with DeviceLostError, DisposedError or KernelError. */
  read(): Promise<Uint32Array>;
}

/** Staging buffers that take turns, so that results of several steps can be on their way back and none is ever allocated. */
export class ReadbackRing {
  private readonly free: GPUBuffer[];
  private disposed = false;

  private constructor(
    private readonly gpu: GpuDevice,
    private readonly staging: readonly GPUBuffer[],
    private readonly size: number,
  ) {
    this.free = [...staging];
  }

  /** `depth` staging buffers of `size` bytes (rounded up to whole words). */
  static async create(gpu: GpuDevice, size: number, depth: number): Promise<ReadbackRing> {
    const staging: GPUBuffer[] = [];
    const rounded = Math.ceil(size / 4) * 4;
    try {
      for (let i = 0; i < depth; i++) {
        const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
        staging.push(await gpu.createBuffer({ label: `readback ${i}`, size: rounded, usage }));
      }
    } catch (error) {
      for (const buffer of staging) gpu.destroyBuffer(buffer);
      throw error;
    }
    return new ReadbackRing(gpu, staging, rounded);
  }

  /**
   * Encodes a copy of `size` bytes of `source` from `offset` (both multiples of 4). Throws InternalError when it does not fit, or when
   * all staging buffers are in flight: every copy must be read.
   */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer, size: number, offset = 0): Readback {
    if (this.disposed) throw new DisposedError('the readback ring was disposed of');
    if (size > this.size) throw new InternalError(`a readback of ${size} bytes does not fit into ${this.size}`);
    const buffer = this.free.shift();
    if (!buffer) throw new InternalError(`all ${this.staging.length} readback buffers are in flight`);
    encoder.copyBufferToBuffer(source, offset, buffer, 0, size);
    return { read: () => this.read(buffer, size) };
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const buffer of this.staging) this.gpu.destroyBuffer(buffer);
  }

  private async read(buffer: GPUBuffer, size: number): Promise<Uint32Array> {
    let words: Uint32Array;
    try {
      await buffer.mapAsync(GPUMapMode.READ, 0, size);
      words = new Uint32Array(buffer.getMappedRange(0, size).slice(0));
      // Inside the try, because wgpu lets a mapping succeed on a lost device and throws here.
      buffer.unmap();
    } catch (cause) {
      if (this.disposed) throw new DisposedError('the readback ring was disposed of', { cause });
      throw await this.gpu.explain('readback', cause);
    }
    this.free.push(buffer);
    // A submit that failed validation leaves zeros or old results behind, with no other sign than this.
    this.gpu.throwIfFaulted();
    return words;
  }
}
