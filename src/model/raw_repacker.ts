import { InternalError } from '../errors';
import { rowBytes } from '../formats/row_bytes';
import type { GpuDevice } from '../gpu/device';
import type { Weight } from '../ops/op';
import { REPACK_PARAM_WORDS } from '../ops/weights/layout';
import type { GpuWeightPart } from './gpu_tensors';
import { encodeRepack, repackingOf } from './repack';

/** The longest row. */
const RAW_BYTES = 8 << 20;
/** Bytes that are made and repacked at once. */
const CHUNK_BYTES = 2 << 20;
/** So many bytes are submitted before the GPU is asked whether it has them, and so many times before it must have said so. */
const ACKNOWLEDGED_BYTES = 4 << 20;
const ACKNOWLEDGEMENTS_IN_FLIGHT = 2;

/** Repacks rows that a kernel has written, so that none comes from the host. */
export class RawRepacker {
  private readonly inFlight: Promise<undefined>[] = [];
  /** Bytes since the GPU was last asked. */
  private submitted = 0;
  private readonly paramWords = new Uint32Array(REPACK_PARAM_WORDS);

  private constructor(
    private readonly gpu: GpuDevice,
    /** Holds a chunk of rows, as in a file, while it is repacked. */
    readonly raw: GPUBuffer,
    private readonly params: GPUBuffer,
  ) {}

  static async create(gpu: GpuDevice): Promise<RawRepacker> {
    const raw = await gpu.createBuffer({
      label: 'raw weights',
      size: RAW_BYTES,
      usage: GPUBufferUsage.STORAGE,
    });
    const params = await gpu.createBuffer({
      label: 'repack parameters',
      size: REPACK_PARAM_WORDS * 4,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    return new RawRepacker(gpu, raw, params);
  }

  /** Rows of a weight that are repacked at once. */
  rowsAtOnce(weight: Weight): number {
    const perRow = rowBytes(weight.format, weight.cols);
    if (perRow > RAW_BYTES)
      throw new InternalError(`a row of "${weight.name}" has ${perRow} bytes, at most ${RAW_BYTES}`);
    return Math.max(1, Math.floor(CHUNK_BYTES / perRow));
  }

  /**
   * Repacks rows [firstRow, firstRow + rows) of a weight from the raw buffer, where they begin at byte 0. Returns when the GPU has taken
   * in all but the last few chunks.
   */
  async repack(weight: Weight, parts: readonly GpuWeightPart[], firstRow: number, rows: number): Promise<void> {
    const { device } = this.gpu;
    const repacking = await repackingOf(this.gpu, weight, weight.format);
    for (const part of parts) {
      const start = Math.max(firstRow, part.firstRow);
      const count = Math.min(firstRow + rows, part.firstRow + part.rows) - start;
      if (count <= 0) continue;
      this.paramWords.set([count, start - part.firstRow, start - firstRow, 0]);
      device.queue.writeBuffer(this.params, 0, this.paramWords);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      encodeRepack(this.gpu, pass, repacking, part, count, { buffer: this.params }, { buffer: this.raw });
      pass.end();
      device.queue.submit([encoder.finish()]);
    }
    this.submitted += rows * rowBytes(weight.format, weight.cols);
    if (this.submitted < ACKNOWLEDGED_BYTES) return;
    this.submitted = 0;
    this.inFlight.push(device.queue.onSubmittedWorkDone());
    if (this.inFlight.length > ACKNOWLEDGEMENTS_IN_FLIGHT) await this.inFlight.shift();
  }

  /** Resolves when everything is in place. */
  async finish(): Promise<void> {
    await Promise.all([...this.inFlight, this.gpu.device.queue.onSubmittedWorkDone()]);
    this.gpu.throwIfFaulted();
  }

  dispose(): void {
    this.gpu.destroyBuffer(this.raw);
    this.gpu.destroyBuffer(this.params);
  }
}
