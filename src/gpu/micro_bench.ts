/** What a GPU can do at best, measured by kernels that do one thing: the yardsticks for the runtime's own speed. */
import { OutOfMemoryError } from '../errors';
import type { GpuDevice } from './device';

export interface MachineSpeed {
  /** 10^9 bytes read from device memory a second. */
  readonly streamReadGBs: number;
  /** 10^9 floating-point operations a second, a fused multiply-add counting two. f16 where the device has it. */
  readonly fmaGFLOPs: { readonly f32: number; readonly f16?: number };
}

/** Larger than any cache of today, as far as the device binds so much. */
const BUFFER_BYTES = [256 << 20, 1 << 30];
const PATTERN_BYTES = 16 << 20;
const STREAM_WORKGROUPS = [2048, 16_384];
const FMA_WORKGROUPS = 2048;
const LANES = 256;
/** Eight chains of two fused multiply-adds of four components. */
const FLOPS_PER_ROUND = 8 * 2 * 4 * 2;
/** Work is doubled until it takes this long, so that submitting and waiting do not count. */
const MIN_SECONDS = 0.1;
const REPETITIONS = 3;

/** Takes a few seconds and, for that time, up to 1 GiB. Rejects with OutOfMemoryError, KernelError or DeviceLostError. */
export async function measureMachine(gpu: GpuDevice): Promise<MachineSpeed> {
  const streamReadGBs = await measureStreamRead(gpu);
  const f32 = await measureFma(gpu, 'f32');
  const fmaGFLOPs = gpu.capabilities.f16 ? { f32, f16: await measureFma(gpu, 'f16') } : { f32 };
  return { streamReadGBs, fmaGFLOPs };
}

/** GB/s of the best buffer size and number of workgroups. Takes about a second and, for that time, up to 1 GiB; rejects like `measureMachine`. */
export async function measureStreamRead(gpu: GpuDevice): Promise<number> {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.capabilities.limits;
  const limit = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const largest = Math.floor(limit / PATTERN_BYTES) * PATTERN_BYTES;
  const sizes = [...new Set(BUFFER_BYTES.map((bytes) => Math.min(bytes, largest)))];
  let best = 0;
  for (const size of sizes) {
    try {
      best = Math.max(best, await streamRead(gpu, size));
    } catch (error) {
      // A large buffer is welcome, not necessary.
      if (!(error instanceof OutOfMemoryError) || best === 0) throw error;
    }
  }
  return best;
}

async function streamRead(gpu: GpuDevice, size: number): Promise<number> {
  const data = await patternBuffer(gpu, size);
  try {
    const kernel = { entry: 'bench/stream_read.wgsl', overrides: { VECS: size / 16 } };
    const pipeline = await gpu.pipelines.get(kernel, ['read', 'write']);
    let best = 0;
    for (const workgroups of STREAM_WORKGROUPS) {
      const run = await benchKernel(gpu, pipeline, data, (pass, work) => {
        for (let i = 0; i < work; i++) pass.dispatchWorkgroups(workgroups);
      });
      best = Math.max(best, (size / 1e9) * run.workPerSecond);
    }
    return best;
  } finally {
    gpu.destroyBuffer(data);
  }
}

/** GFLOP/s of chains in one type. */
async function measureFma(gpu: GpuDevice, type: 'f32' | 'f16'): Promise<number> {
  const pipeline = await gpu.pipelines.get({ entry: 'bench/fma.wgsl', aliases: { Value: type } }, ['uniform', 'write']);
  const params = await gpu.createBuffer({
    label: 'fma parameters',
    size: 16,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
  try {
    const words = new Uint32Array(4);
    new Float32Array(words.buffer).set([0, 0.75, 0.125]);
    const run = await benchKernel(gpu, pipeline, params, (pass, work) => {
      words[0] = work;
      gpu.device.queue.writeBuffer(params, 0, words);
      pass.dispatchWorkgroups(FMA_WORKGROUPS);
    });
    return (run.workPerSecond * FMA_WORKGROUPS * LANES * FLOPS_PER_ROUND) / 1e9;
  } finally {
    gpu.destroyBuffer(params);
  }
}

/** Runs a kernel that binds `input` and a sink with ever more work until that takes long enough; the rate is the best of a few runs. */
async function benchKernel(
  gpu: GpuDevice,
  pipeline: GPUComputePipeline,
  input: GPUBuffer,
  encode: (pass: GPUComputePassEncoder, work: number) => void,
): Promise<{ readonly workPerSecond: number }> {
  const { device } = gpu;
  const sink = await gpu.createBuffer({ label: 'sink', size: 16, usage: GPUBufferUsage.STORAGE });
  try {
    const bindGroup = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [input, sink].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    const seconds = async (work: number): Promise<number> => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      encode(pass, work);
      pass.end();
      const commands = encoder.finish();
      const start = performance.now();
      device.queue.submit([commands]);
      await device.queue.onSubmittedWorkDone().catch(async (cause: unknown) => {
        throw await gpu.explain('measurement', cause);
      });
      return (performance.now() - start) / 1000;
    };
    let work = 1;
    await seconds(work);
    let shortest = await seconds(work);
    while (shortest < MIN_SECONDS) {
      work *= 2;
      shortest = await seconds(work);
    }
    for (let i = 1; i < REPETITIONS; i++) shortest = Math.min(shortest, await seconds(work));
    gpu.throwIfFaulted();
    return { workPerSecond: work / shortest };
  } finally {
    gpu.destroyBuffer(sink);
  }
}

/** A buffer without a zero in it: some systems keep pages of zeros only once, some GPUs compress them. `size` in whole patterns. */
async function patternBuffer(gpu: GpuDevice, size: number): Promise<GPUBuffer> {
  const pattern = await gpu.createBuffer({
    label: 'pattern',
    size: PATTERN_BYTES,
    usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
  });
  try {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
    const buffer = await gpu.createBuffer({ label: 'stream', size, usage });
    const words = new Uint32Array(PATTERN_BYTES / 4);
    let state = 1;
    for (let i = 0; i < words.length; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      words[i] = state | 1;
    }
    gpu.device.queue.writeBuffer(pattern, 0, words);
    const encoder = gpu.device.createCommandEncoder();
    for (let at = 0; at < size; at += PATTERN_BYTES) encoder.copyBufferToBuffer(pattern, 0, buffer, at, PATTERN_BYTES);
    gpu.device.queue.submit([encoder.finish()]);
    return buffer;
  } finally {
    gpu.destroyBuffer(pattern);
  }
}
