import { InternalError, throwIfAborted } from '../errors';
import { rowBytes } from '../formats/row_bytes';
import type { GpuDevice } from '../gpu/device';
import type { Weight } from '../ops/op';
import type { GpuTensors, GpuWeightPart } from './gpu_tensors';
import type { ModelSpec } from './model_spec';
import type { SyntheticModel } from './origin';
import { RawRepacker } from './raw_repacker';
import { blockPattern } from './synthetic_blocks';
import type { LoadOptions } from './weight_loader';

/** Words of `BlockParams` in random_blocks.wgsl. */
const PARAM_WORDS = 12;
const SET_BYTES_AT = 8;
const MAX_SET_BYTES = 4;
const LANES = 64;

/**
 * Fills the weights of a synthetic model, which have been allocated, without a byte from the host: a kernel writes random blocks as a
 * file would have them, and the format's own repack kernel takes them from there. Values have a mean of about 0 and a standard
 * deviation of about 1/√cols, so that activations keep their size; vectors are all ones, biases zero. Equal seeds give equal weights on every GPU.
 * Rejects with AbortedError, KernelError or DeviceLostError.
 */
export async function fillWeights(
  gpu: GpuDevice,
  tensors: GpuTensors,
  model: SyntheticModel,
  spec: ModelSpec,
  options: LoadOptions = {},
): Promise<void> {
  const indexOf = new Map([...model.gguf.tensors.keys()].map((name, index) => [name, index]));
  const repacker = await RawRepacker.create(gpu);
  const filler = await BlockFiller.create(gpu, repacker.raw, model.seed);
  let filled = 0;
  try {
    for (const { weight, tensors: names } of spec.weights) {
      const parts = tensors.weightParts(weight);
      let firstRow = 0;
      for (const name of names) {
        throwIfAborted(options.signal);
        const tensor = model.gguf.tensors.get(name);
        const index = indexOf.get(name);
        if (!tensor || index === undefined) throw new InternalError(`the synthetic model has no tensor "${name}"`);
        // Over all matrices of a stack: which of them a random row lands in makes no difference.
        const rows = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
        await fillTensor(repacker, filler, weight, parts, firstRow, rows, index);
        firstRow += rows;
        filled += tensor.byteLength;
        options.onProgress?.(filled, model.size);
      }
    }
    await repacker.finish();
  } finally {
    filler.dispose();
    repacker.dispose();
  }
  for (const { vector, tensors: names, compute } of spec.vectors) {
    const values = names.flatMap((name) => {
      const length = model.gguf.tensors.get(name)?.shape[0] ?? 0;
      return Array.from({ length }, () => (name.endsWith('.bias') ? 0 : 1));
    });
    const plain = Float32Array.from(values);
    await tensors.addVector(vector, compute ? compute(plain) : plain);
  }
}

async function fillTensor(
  repacker: RawRepacker,
  filler: BlockFiller,
  weight: Weight,
  parts: readonly GpuWeightPart[],
  firstRow: number,
  rows: number,
  tensor: number,
): Promise<void> {
  const rowsAtOnce = repacker.rowsAtOnce(weight);
  for (let row = 0; row < rows; row += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - row);
    filler.fillRows(weight, tensor, row, count);
    await repacker.repack(weight, parts, firstRow + row, count);
  }
}

/** Writes random blocks to the start of a buffer. */
export class BlockFiller {
  private readonly words = new Uint32Array(PARAM_WORDS);

  private constructor(
    private readonly gpu: GpuDevice,
    private readonly params: GPUBuffer,
    private readonly pipeline: GPUComputePipeline,
    private readonly bindGroup: GPUBindGroup,
    private readonly seed: number,
  ) {}

  static async create(gpu: GpuDevice, raw: GPUBuffer, seed: number): Promise<BlockFiller> {
    const pipeline = await gpu.pipelines.get({ entry: 'ops/random_blocks.wgsl' }, ['uniform', 'write']);
    const params = await gpu.createBuffer({
      label: 'random block parameters',
      size: PARAM_WORDS * 4,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
    const bindGroup = gpu.device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [params, raw].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    return new BlockFiller(gpu, params, pipeline, bindGroup, seed);
  }

  /** Submits the filling of `rows` rows; `tensor` and `firstRow` choose which random bytes they get. */
  fillRows(weight: Weight, tensor: number, firstRow: number, rows: number): void {
    const { device } = this.gpu;
    const { blockBytes, fixed } = blockPattern(weight.format, 1 / Math.sqrt(weight.cols));
    if (fixed.length > MAX_SET_BYTES)
      throw new InternalError(`${weight.format} fixes ${fixed.length} bytes of a block`);
    const count = Math.ceil((rows * rowBytes(weight.format, weight.cols)) / 16);
    this.words.fill(0);
    this.words.set([count, blockBytes, firstRow, tensor, this.seed, fixed.length]);
    fixed.forEach(({ at, keep, bits }, i) => {
      this.words[SET_BYTES_AT + i] = at | (keep << 16) | (bits << 24);
    });
    device.queue.writeBuffer(this.params, 0, this.words);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(this.pipeline);
    pass.setBindGroup(0, this.bindGroup);
    pass.dispatchWorkgroups(Math.ceil(count / LANES));
    pass.end();
    device.queue.submit([encoder.finish()]);
  }

  dispose(): void {
    this.gpu.destroyBuffer(this.params);
  }
}
