import { InternalError } from '../errors';
import { rowBytes } from '../formats/row_bytes';
import type { WeightFormat } from '../formats/weight_format';
import type { GpuDevice } from '../gpu/device';
import { type Staging, StagingRing } from '../gpu/staging';
import type { Weight } from '../ops/op';
import { REPACK_PARAM_WORDS } from '../ops/weights/layout';
import type { GpuWeightPart } from './gpu_tensors';
import { encodeRepack, type Repacking, repackingOf } from './repack';

/** The longest row. */
const MAX_ROW_BYTES = 8 << 20;
/** Raw bytes that are copied and repacked at once: few enough to be in a cache still when they are repacked. */
const CHUNK_BYTES = 2 << 20;
/** What is left of a chunk is used for a part of a tensor's rows when it is at least this much. */
const WORTHWHILE_BYTES = CHUNK_BYTES / 4;
const CHUNKS_IN_FLIGHT = 4;
/** Where a binding may begin in a buffer, on every device. */
const ALIGNMENT = 256;

/** Rows that lie in the chunk: their parameters, and after `ALIGNMENT` bytes they themselves. */
interface StagedRows {
  readonly repacking: Repacking;
  readonly part: GpuWeightPart;
  readonly rows: number;
  readonly at: number;
  /** Whole words. */
  readonly bytes: number;
}

/**
 * Brings raw rows to the GPU and repacks them there into a weight's planes (ops/weights/layout.ts). Rows are written to mapped memory; what
 * has gathered there, of however many weights, goes off in one submit.
 */
export class WeightUploader {
  private chunk: Staging | undefined;
  private used = 0;
  private readonly staged: StagedRows[] = [];

  private constructor(
    private readonly gpu: GpuDevice,
    private readonly ring: StagingRing,
    /** Holds a chunk while it is repacked. */
    private readonly raw: GPUBuffer,
  ) {}

  /** For rows of at most `longestRow` bytes, or any that fit into 2 MiB. Rejects like `GpuDevice.createBuffer`. */
  static async create(gpu: GpuDevice, longestRow = 0): Promise<WeightUploader> {
    const size = ALIGNMENT + aligned(Math.max(CHUNK_BYTES, Math.min(longestRow, MAX_ROW_BYTES)));
    const ring = await StagingRing.create(gpu, size, CHUNKS_IN_FLIGHT);
    try {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      return new WeightUploader(gpu, ring, await gpu.createBuffer({ label: 'raw weights', size, usage }));
    } catch (error) {
      ring.dispose();
      throw error;
    }
  }

  /**
   * Mapped memory for the rows of a weight from firstRow on: for as many of them as there is room for, at least one, at most `rows`, as they
   * are in the file. `stored`: the weight's format, or floats, which are quantised. They are lost unless `take` is called next. Rejects with
   * DeviceLostError or DisposedError, as `take` does.
   */
  async room(
    weight: Weight,
    parts: readonly GpuWeightPart[],
    firstRow: number,
    rows: number,
    stored: WeightFormat = weight.format,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const perRow = rowBytes(stored, weight.cols);
    const capacity = this.ring.size - ALIGNMENT;
    if (perRow > capacity)
      throw new InternalError(`a row of "${weight.name}" has ${perRow} bytes, at most ${capacity}`);
    const part = partOf(weight, parts, firstRow);
    const wanted = Math.min(rows, part.firstRow + part.rows - firstRow);
    const fitting = (): number => Math.floor((this.ring.size - this.used - ALIGNMENT) / perRow);
    if (this.used > 0 && fitting() < Math.max(1, Math.min(wanted, Math.ceil(WORTHWHILE_BYTES / perRow)))) this.flush();
    this.chunk ??= await this.ring.acquire();
    if (isGone(this.chunk)) throw await this.explainGone();
    const start = this.used + ALIGNMENT;
    return this.chunk.bytes.subarray(start, start + Math.min(wanted, fitting()) * perRow);
  }

  /** Takes `rows` rows from firstRow on, which have been written to the beginning of the last `room`. */
  async take(
    weight: Weight,
    parts: readonly GpuWeightPart[],
    firstRow: number,
    rows: number,
    stored: WeightFormat = weight.format,
  ): Promise<void> {
    const repacking = await repackingOf(this.gpu, weight, stored);
    const { chunk } = this;
    if (!chunk) throw new InternalError(`no room was made for rows of "${weight.name}"`);
    if (isGone(chunk)) throw await this.explainGone();
    const part = partOf(weight, parts, firstRow);
    const at = this.used;
    const bytes = Math.ceil((rows * rowBytes(stored, weight.cols)) / 4) * 4;
    const { buffer, byteOffset } = chunk.bytes;
    new Uint32Array(buffer, byteOffset + at, REPACK_PARAM_WORDS).set([rows, firstRow - part.firstRow, 0, 0]);
    this.staged.push({ repacking, part, rows, at, bytes });
    this.used = aligned(at + ALIGNMENT + bytes);
  }

  /** Copies rows [firstRow, firstRow + rows) of a weight from `bytes`. They are under way by the time `finish` resolves. */
  async write(
    weight: Weight,
    parts: readonly GpuWeightPart[],
    firstRow: number,
    rows: number,
    bytes: Uint8Array<ArrayBuffer>,
    stored: WeightFormat = weight.format,
  ): Promise<void> {
    const perRow = rowBytes(stored, weight.cols);
    for (let row = 0; row < rows; ) {
      const room = await this.room(weight, parts, firstRow + row, rows - row, stored);
      room.set(bytes.subarray(row * perRow, row * perRow + room.length));
      const count = room.length / perRow;
      await this.take(weight, parts, firstRow + row, count, stored);
      row += count;
    }
  }

  /** Resolves when everything that was taken is in place. Rejects with DeviceLostError, DisposedError or KernelError. */
  async finish(): Promise<void> {
    this.flush();
    await this.gpu.device.queue.onSubmittedWorkDone();
    this.gpu.throwIfFaulted();
  }

  dispose(): void {
    this.ring.dispose();
    this.gpu.destroyBuffer(this.raw);
  }

  private explainGone(): Promise<Error> {
    return this.gpu.explain('staging', new Error('its memory is not mapped any more'));
  }

  /** Sends off what has gathered. */
  private flush(): void {
    const { chunk, raw, gpu } = this;
    if (!chunk || this.used === 0) return;
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(chunk.buffer, 0, raw, 0, Math.min(this.used, this.ring.size));
    const pass = encoder.beginComputePass();
    for (const { repacking, part, rows, at, bytes } of this.staged) {
      const params = { buffer: raw, offset: at, size: REPACK_PARAM_WORDS * 4 };
      encodeRepack(gpu, pass, repacking, part, rows, params, { buffer: raw, offset: at + ALIGNMENT, size: bytes });
    }
    pass.end();
    this.ring.submit(chunk, encoder.finish());
    this.chunk = undefined;
    this.used = 0;
    this.staged.length = 0;
  }
}

/** A device that goes takes its mapped memory along. */
function isGone({ bytes }: Staging): boolean {
  return bytes.length === 0;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function partOf(weight: Weight, parts: readonly GpuWeightPart[], row: number): GpuWeightPart {
  const part = parts.find(({ firstRow, rows }) => row >= firstRow && row < firstRow + rows);
  if (!part) throw new InternalError(`weight "${weight.name}" has no row ${row}`);
  return part;
}
