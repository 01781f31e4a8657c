import { WebGpuUnavailableError } from '../errors';
import type { GpuDevice } from './device';

export interface ProfileItem {
  readonly label: string;
  readonly pipeline: GPUComputePipeline;
  /** Bound as group 0. */
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: readonly [x: number, y: number, z: number];
}

export interface ProfileRow {
  readonly label: string;
  /** Time on the GPU's clock, in nanoseconds. NaN when the clock was reset in between. Browsers round it to 100 µs unless their developer features are on. */
  readonly ns: number;
}

/** WebGPU allows 4096 queries in a set, two for a dispatch. */
const MAX_ITEMS = 2048;
const TIMESTAMP_BYTES = 8;

/**
 * Runs the dispatches in order, each in a compute pass of its own, and times every one. `gpu` must have been created with
 * `timestamps: true` for this purpose: a serving device does without. Rejects with WebGpuUnavailableError where there are none.
 */
export async function profileDispatches(gpu: GpuDevice, items: readonly ProfileItem[]): Promise<ProfileRow[]> {
  if (!gpu.capabilities.timestampQuery) {
    throw new WebGpuUnavailableError(
      'this device has no timestamp queries: create one with `timestamps: true` on a GPU that has them',
    );
  }
  const rows: ProfileRow[] = [];
  for (let first = 0; first < items.length; first += MAX_ITEMS) {
    rows.push(...(await profileChunk(gpu, items.slice(first, first + MAX_ITEMS))));
  }
  return rows;
}

async function profileChunk(gpu: GpuDevice, items: readonly ProfileItem[]): Promise<ProfileRow[]> {
  const { device } = gpu;
  const count = items.length * 2;
  const size = count * TIMESTAMP_BYTES;
  const resolve = await gpu.createBuffer({
    label: 'timestamps',
    size,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const staging = await gpu.createBuffer({
    label: 'timestamps read',
    size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const queries = device.createQuerySet({ label: 'timestamps', type: 'timestamp', count });
  try {
    await gpu.checked('profile', () => {
      const encoder = device.createCommandEncoder();
      for (const [index, { label, pipeline, bindGroup, workgroups }] of items.entries()) {
        const pass = encoder.beginComputePass({
          label,
          timestampWrites: {
            querySet: queries,
            beginningOfPassWriteIndex: index * 2,
            endOfPassWriteIndex: index * 2 + 1,
          },
        });
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindGroup);
        pass.dispatchWorkgroups(...workgroups);
        pass.end();
      }
      encoder.resolveQuerySet(queries, 0, count, resolve, 0);
      encoder.copyBufferToBuffer(resolve, 0, staging, 0, size);
      device.queue.submit([encoder.finish()]);
    });
    await staging.mapAsync(GPUMapMode.READ).catch(async (cause: unknown) => {
      throw await gpu.explain('profile', cause);
    });
    const times = new BigUint64Array(staging.getMappedRange());
    return items.map(({ label }, index) => ({ label, ns: elapsed(times[index * 2], times[index * 2 + 1]) }));
  } finally {
    queries.destroy();
    for (const buffer of [resolve, staging]) gpu.destroyBuffer(buffer);
  }
}

/** Some drivers reset the counter in between; such a measurement says nothing. */
function elapsed(begin: bigint, end: bigint): number {
  return end >= begin ? Number(end - begin) : Number.NaN;
}
