import { InternalError } from '../errors';
import { rowBytes } from '../formats/dequantize';
import type { WeightFormat } from '../formats/weight_format';
import type { GpuDevice } from '../gpu/device';
import type { BindingAccess } from '../gpu/pipelines';
import type { Weight } from '../ops/op';
import { REPACK_PARAM_WORDS, type RepackBinding, repackKernel } from '../ops/weights/layout';
import { quantizeKernel } from '../ops/weights/quantize';
import type { GpuWeightPart } from './gpu_tensors';

/** The longest row, raw. */
const RAW_BYTES = 8 << 20;
/** Raw bytes that are written and repacked at once: few enough to be in a cache still when they are repacked. */
const CHUNK_BYTES = 2 << 20;
/**
 * So many bytes are submitted before the GPU is asked whether it has them, and so many times before it must have said so: WebGPU copies
 * what is written, so this bounds host memory. Small tensors wait for nothing.
 */
const ACKNOWLEDGED_BYTES = 4 << 20;
const ACKNOWLEDGEMENTS_IN_FLIGHT = 2;

const ACCESS: Readonly<Record<RepackBinding, BindingAccess>> = {
  params: 'uniform',
  raw: 'read',
  quants: 'write',
  scales: 'write',
};

/** Copies raw rows to the GPU and repacks them there into a weight's planes (ops/weights/layout.ts). */
export class WeightUploader {
  private readonly inFlight: Promise<undefined>[] = [];
  /** Bytes since the GPU was last asked. */
  private submitted = 0;
  private readonly paramWords = new Uint32Array(REPACK_PARAM_WORDS);

  private constructor(
    private readonly gpu: GpuDevice,
    /** Holds a chunk of raw rows while it is repacked. */
    readonly raw: GPUBuffer,
    private readonly params: GPUBuffer,
  ) {}

  static async create(gpu: GpuDevice): Promise<WeightUploader> {
    const raw = await gpu.createBuffer({
      label: 'raw weights',
      size: RAW_BYTES,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    const params = await gpu.createBuffer({
      label: 'repack parameters',
      size: REPACK_PARAM_WORDS * 4,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    return new WeightUploader(gpu, raw, params);
  }

  /**
   * Writes rows [firstRow, firstRow + rows) of a weight. `bytes` holds them as in the file, padded to a whole word, in the weight's
   * format or, as `stored` says, in floats, which are quantised. Returns when the GPU has taken in all but the last few chunks.
   */
  async write(
    weight: Weight,
    parts: readonly GpuWeightPart[],
    firstRow: number,
    rows: number,
    bytes: Uint8Array<ArrayBuffer>,
    stored: WeightFormat = weight.format,
  ): Promise<void> {
    const perRow = rowBytes(stored, weight.cols);
    const rowsAtOnce = this.rowsAtOnce(weight, stored);
    for (let row = 0; row < rows; ) {
      const count = rowsUpToAWord(Math.min(rowsAtOnce, rows - row), row + rowsAtOnce < rows, perRow);
      await this.writeChunk(weight, parts, firstRow + row, count, bytes, row * perRow, stored);
      row += count;
    }
  }

  /** Rows of a weight that are repacked at once. */
  rowsAtOnce(weight: Weight, stored: WeightFormat = weight.format): number {
    const perRow = rowBytes(stored, weight.cols);
    if (perRow > RAW_BYTES)
      throw new InternalError(`a row of "${weight.name}" has ${perRow} bytes, at most ${RAW_BYTES}`);
    // Fewer than four rows might not end on a word (rowsUpToAWord).
    return Math.min(Math.floor(RAW_BYTES / perRow), Math.max(4, Math.floor(CHUNK_BYTES / perRow)));
  }

  /** Resolves when everything that was written is in place. */
  async finish(): Promise<void> {
    await Promise.all([...this.inFlight, this.gpu.device.queue.onSubmittedWorkDone()]);
    this.gpu.throwIfFaulted();
  }

  dispose(): void {
    this.gpu.destroyBuffer(this.raw);
    this.gpu.destroyBuffer(this.params);
  }

  private async writeChunk(
    weight: Weight,
    parts: readonly GpuWeightPart[],
    firstRow: number,
    rows: number,
    bytes: Uint8Array<ArrayBuffer>,
    offset: number,
    stored: WeightFormat,
  ): Promise<void> {
    const { device } = this.gpu;
    const size = Math.ceil((rows * rowBytes(stored, weight.cols)) / 4) * 4;
    device.queue.writeBuffer(this.raw, 0, bytes, offset, Math.min(size, bytes.length - offset));
    await this.repack(weight, parts, firstRow, rows, stored);
  }

  /**
   * Repacks rows [firstRow, firstRow + rows) of a weight from the raw buffer, where they begin at byte 0. Returns when the GPU has taken
   * in all but the last few chunks.
   */
  async repack(
    weight: Weight,
    parts: readonly GpuWeightPart[],
    firstRow: number,
    rows: number,
    stored: WeightFormat = weight.format,
  ): Promise<void> {
    const { device } = this.gpu;
    const kernel =
      stored === weight.format
        ? repackKernel(weight.format, weight.cols)
        : quantizeKernel(stored, weight.format, weight.cols);
    const pipeline = await this.gpu.pipelines.get(
      kernel.source,
      kernel.bindings.map((binding) => ACCESS[binding]),
    );
    for (const part of parts) {
      const start = Math.max(firstRow, part.firstRow);
      const count = Math.min(firstRow + rows, part.firstRow + part.rows) - start;
      if (count <= 0) continue;
      this.paramWords.set([count, start - part.firstRow, start - firstRow, 0]);
      device.queue.writeBuffer(this.params, 0, this.paramWords);
      const buffers = { params: this.params, raw: this.raw, quants: part.quants, scales: part.scales };
      const bindGroup = device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: kernel.bindings.map((name, binding) => ({ binding, resource: { buffer: buffers[name] } })),
      });
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      pass.dispatchWorkgroups(...kernel.workgroups(count));
      pass.end();
      device.queue.submit([encoder.finish()]);
    }
    this.submitted += rows * rowBytes(stored, weight.cols);
    if (this.submitted < ACKNOWLEDGED_BYTES) return;
    this.submitted = 0;
    this.inFlight.push(device.queue.onSubmittedWorkDone());
    if (this.inFlight.length > ACKNOWLEDGEMENTS_IN_FLIGHT) await this.inFlight.shift();
  }
}

/** A chunk that is followed by another must end on a word, because the next one's bytes are written from there. */
function rowsUpToAWord(rows: number, followed: boolean, perRow: number): number {
  if (!followed || (rows * perRow) % 4 === 0) return rows;
  if (rows < 4) throw new InternalError(`rows of ${perRow} bytes are too long to be written in whole words`);
  return rows - (rows % 4);
}
