import { DisposedError, InternalError } from '../errors';
import type { GpuDevice } from './device';

/** A staging buffer in the hands of its writer. */
export interface Staging {
  readonly buffer: GPUBuffer;
  /** All of it, mapped; detached by `submit`. Holds what was written the last time. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

interface Turn {
  readonly buffer: GPUBuffer;
  /** Set once it has been asked for. */
  mapped: Promise<undefined> | undefined;
}

/**
 * Mapped buffers that take turns: what a source puts there is on its way to the GPU without another copy in JavaScript or in the queue, and
 * no more of it is in flight than the ring holds.
 */
export class StagingRing {
  private readonly turns: Turn[];
  private disposed = false;

  private constructor(
    private readonly gpu: GpuDevice,
    private readonly buffers: readonly GPUBuffer[],
    /** Bytes of each buffer. */
    readonly size: number,
  ) {
    this.turns = buffers.map((buffer) => ({ buffer, mapped: undefined }));
    this.mapNext();
  }

  /** `depth` buffers of `size` bytes, a multiple of 4. Rejects like `GpuDevice.createBuffer`; nothing stays allocated then. */
  static async create(gpu: GpuDevice, size: number, depth: number): Promise<StagingRing> {
    const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
    const made = await Promise.allSettled(
      Array.from({ length: depth }, (_, i) => gpu.createBuffer({ label: `staging ${i}`, size, usage })),
    );
    const buffers = made.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const failed = made.find((one) => one.status === 'rejected');
    if (!failed) return new StagingRing(gpu, buffers, size);
    for (const buffer of buffers) gpu.destroyBuffer(buffer);
    throw failed.reason;
  }

  /**
   * The next buffer, once the GPU has taken what was in it. Rejects with DeviceLostError, DisposedError or KernelError, and with
   * InternalError when all are in their writers' hands.
   */
  async acquire(): Promise<Staging> {
    const turn = this.turns.shift();
    if (!turn) throw new InternalError(`all ${this.buffers.length} staging buffers are being written`);
    const { buffer } = turn;
    try {
      await (turn.mapped ?? buffer.mapAsync(GPUMapMode.WRITE));
      // Inside the try, because wgpu lets a mapping succeed on a lost device and throws here.
      return { buffer, bytes: new Uint8Array(buffer.getMappedRange()) };
    } catch (cause) {
      if (this.disposed) throw new DisposedError('the staging ring was disposed of', { cause });
      throw await this.gpu.explain('staging', cause);
    }
  }

  /** Submits the commands that read a buffer, which is the ring's again then. */
  submit({ buffer }: Staging, commands: GPUCommandBuffer): void {
    buffer.unmap();
    this.gpu.device.queue.submit([commands]);
    this.turns.push({ buffer, mapped: undefined });
    this.mapNext();
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    for (const buffer of this.buffers) this.gpu.destroyBuffer(buffer);
  }

  /**
   * Asks for the mapping of the buffer whose turn is next. Only of that one: Dawn in Node polls, and makes garbage, for as long as anything
   * is asked for, and the GPU is done with this one first.
   */
  private mapNext(): void {
    const next = this.turns.at(0);
    if (!next || next.mapped) return;
    next.mapped = next.buffer.mapAsync(GPUMapMode.WRITE);
    // Whoever acquires it learns of a failure; nobody may.
    next.mapped.catch(() => undefined);
  }
}
