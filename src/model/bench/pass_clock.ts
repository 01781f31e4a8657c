import type { GpuDevice } from '../../gpu/device';
import { mappedBytes } from '../read_buffer';

const TIMESTAMP_BYTES = 8;

interface Timestamps {
  readonly queries: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly staging: GPUBuffer;
}

/** Times compute passes: by the GPU's clock where the device has timestamps, else by the wall's around a submit. */
export class PassClock {
  private constructor(
    private readonly gpu: GpuDevice,
    private readonly timestamps: Timestamps | undefined,
  ) {}

  static async create(gpu: GpuDevice): Promise<PassClock> {
    if (!gpu.capabilities.timestampQuery) return new PassClock(gpu, undefined);
    const size = 2 * TIMESTAMP_BYTES;
    const resolved = await gpu.createBuffer({
      label: 'timestamps',
      size,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const staging = await gpu.createBuffer({
      label: 'timestamps read',
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const queries = gpu.device.createQuerySet({ type: 'timestamp', count: 2 });
    return new PassClock(gpu, { queries, resolved, staging });
  }

  get kind(): 'timestamps' | 'wall' {
    return this.timestamps ? 'timestamps' : 'wall';
  }

  /** Milliseconds of one pass. Rejects with KernelError, OutOfMemoryError or DeviceLostError. */
  async time(encode: (pass: GPUComputePassEncoder) => void): Promise<number> {
    const { gpu, timestamps } = this;
    const { device } = gpu;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass(
      timestamps && {
        timestampWrites: { querySet: timestamps.queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
      },
    );
    encode(pass);
    pass.end();
    if (timestamps) {
      const { queries, resolved, staging } = timestamps;
      encoder.resolveQuerySet(queries, 0, 2, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, staging.size);
    }
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await device.queue.onSubmittedWorkDone().catch(async (cause: unknown) => {
      throw await gpu.explain('measurement', cause);
    });
    const wall = performance.now() - start;
    gpu.throwIfFaulted();
    if (!timestamps) return wall;
    const [begin, end] = new BigUint64Array(await mappedBytes(gpu, timestamps.staging, 'timestamps'));
    timestamps.staging.unmap();
    // Some drivers reset the counter in between.
    return end > begin ? Number(end - begin) / 1e6 : wall;
  }

  dispose(): void {
    if (!this.timestamps) return;
    const { queries, resolved, staging } = this.timestamps;
    queries.destroy();
    for (const buffer of [resolved, staging]) this.gpu.destroyBuffer(buffer);
  }
}
