import type { ByteSource } from '../../formats/byte_source';
import type { Gguf } from '../../formats/gguf/gguf';
import { GpuDevice } from '../../gpu/device';
import { GpuTensors } from '../gpu_tensors';
import { type LoadModelOptions, layOut } from '../layout';
import { uploadWeights } from '../upload_weights';
import type { RepeatOptions } from './repeat';
import { type Spread, spreadOf } from './statistics';

/** How fast weights come from their source into the GPU, next to copying the same bytes there as they are. */
export interface LoadSpeed {
  /** Of the file's tensors. */
  readonly bytes: number;
  /** Reading, uploading and repacking, in milliseconds. */
  readonly ms: Spread;
  /** Reading and `queue.writeBuffer` alone. */
  readonly copyMs: Spread;
  readonly bytesPerSecond: number;
  readonly copyBytesPerSecond: number;
  readonly fractionOfCopy: number;
}

/** A size that every device has. */
const BUFFER_BYTES = 64 << 20;
/** Pieces written before the first of them must have been taken in; as many bytes as the loader has in flight. */
const PIECES_IN_FLIGHT = 2;

/**
 * Loads the weights onto a device of their own, in turn with the plain copy, so that both find the source as warm. The first round warms
 * up. Rejects like `loadModel`.
 */
export async function measureLoad(
  gguf: Gguf,
  source: ByteSource,
  options: LoadModelOptions,
  { repetitions, maxSeconds, signal }: RepeatOptions,
): Promise<LoadSpeed> {
  const { gpu, without, defaultLimits } = options;
  const device = await GpuDevice.create({ gpu, without, defaultLimits });
  try {
    const { spec, kvType } = layOut(gguf, options, device.capabilities);
    const tensors = [...gguf.tensors.values()];
    const first = Math.min(...tensors.map(({ offset }) => offset));
    const bytes = Math.max(...tensors.map(({ offset, byteLength }) => offset + byteLength)) - first;
    const load = async (): Promise<number> => {
      const start = performance.now();
      const sizes = { maxRows: 1, maxSampledRows: 1, numPages: 1, kvType, stepWords: 4 };
      const tensors = await GpuTensors.create(device, sizes);
      try {
        await uploadWeights(device, tensors, gguf, source, spec, { signal });
        await device.device.queue.onSubmittedWorkDone();
        return performance.now() - start;
      } finally {
        tensors.dispose();
      }
    };
    const copy = (): Promise<number> => copyBytes(device, source, first, bytes, signal);

    const start = performance.now();
    const loads: number[] = [];
    const copies: number[] = [];
    for (let round = 0; round <= repetitions; round++) {
      const [copied, loaded] = [await copy(), await load()];
      const isLast = (performance.now() - start) / 1000 + (copied + loaded) / 1000 > maxSeconds;
      if (round > 0 || isLast) {
        copies.push(copied);
        loads.push(loaded);
      }
      if (isLast) break;
    }
    const [ms, copyMs] = [spreadOf(loads), spreadOf(copies)];
    return {
      bytes,
      ms,
      copyMs,
      bytesPerSecond: bytes / (ms.median / 1000),
      copyBytesPerSecond: bytes / (copyMs.median / 1000),
      fractionOfCopy: copyMs.median / ms.median,
    };
  } finally {
    device.dispose();
  }
}

/** Milliseconds to read the bytes in one go and write them, as they are, to buffers on the GPU that hold all of them. */
async function copyBytes(
  gpu: GpuDevice,
  source: ByteSource,
  offset: number,
  bytes: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { queue } = gpu.device;
  const buffers: GPUBuffer[] = [];
  const start = performance.now();
  try {
    for (let at = 0; at < bytes; at += BUFFER_BYTES) {
      const size = Math.ceil(Math.min(BUFFER_BYTES, bytes - at) / 4) * 4;
      buffers.push(await gpu.createBuffer({ label: 'copied', size, usage: GPUBufferUsage.COPY_DST }));
    }
    const inFlight: Promise<undefined>[] = [];
    let to = 0;
    for await (const piece of source.stream(offset, bytes, signal)) {
      // Whole words, within one buffer; what a piece has beyond them is too little to count.
      const at = to % BUFFER_BYTES;
      const words = Math.floor(Math.min(piece.length, BUFFER_BYTES - at) / 4) * 4;
      if (words > 0) queue.writeBuffer(buffers[Math.floor(to / BUFFER_BYTES)], at, piece, 0, words);
      to += words;
      queue.submit([]);
      inFlight.push(queue.onSubmittedWorkDone());
      if (inFlight.length > PIECES_IN_FLIGHT) await inFlight.shift();
    }
    await Promise.all(inFlight);
    gpu.throwIfFaulted();
    return performance.now() - start;
  } finally {
    for (const buffer of buffers) gpu.destroyBuffer(buffer);
  }
}
