import { expect, test } from 'vitest';
import { DisposedError, InternalError, KernelError } from '../../src/errors';
import { countCalls } from '../../src/gpu/counters';
import { ReadbackRing } from '../../src/gpu/readback';
import { withDevice } from './variants';

const device = withDevice();
const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
const DEPTH = 3;

test('several steps are in flight at once, each gets its own words, and nothing is allocated', async () => {
  const gpu = await device();
  const ring = await ReadbackRing.create(gpu, 30, DEPTH);
  const source = await gpu.createBuffer({ label: 'source', size: 64, usage: STORAGE });
  const before = gpu.allocatedBytes;
  const counts = countCalls(gpu.device);
  const step = (round: number, words: number): Promise<Uint32Array> => {
    gpu.device.queue.writeBuffer(
      source,
      0,
      Uint32Array.from({ length: 16 }, (_, i) => round * 100 + i),
    );
    const encoder = gpu.device.createCommandEncoder();
    const readback = ring.copy(encoder, source, words * 4, 8);
    gpu.device.queue.submit([encoder.finish()]);
    return readback.read();
  };
  for (let round = 0; round < 9; round += DEPTH) {
    const rounds = Array.from({ length: DEPTH }, (_, i) => round + i);
    const results = await Promise.all(rounds.map((r) => step(r, 1 + (r % 8))));
    for (const [i, r] of rounds.entries()) {
      expect([...results[i]]).toEqual(Array.from({ length: 1 + (r % 8) }, (_, word) => r * 100 + 2 + word));
    }
  }
  expect(counts).toMatchObject({ buffers: 0, maps: 9, submits: 9, bufferWrites: 9, bytesWritten: 9 * 64 });
  counts.restore();
  expect(gpu.allocatedBytes).toBe(before);
  ring.dispose();
  gpu.destroyBuffer(source);
  expect(gpu.allocatedBytes).toBe(0);
});

test('a copy too many, too large or too late is refused', async () => {
  const gpu = await device();
  const ring = await ReadbackRing.create(gpu, 16, 1);
  const source = await gpu.createBuffer({ label: 'source', size: 64, usage: STORAGE });
  const encoder = gpu.device.createCommandEncoder();
  expect(() => ring.copy(encoder, source, 20)).toThrow(InternalError);
  const first = ring.copy(encoder, source, 16);
  expect(() => ring.copy(encoder, source, 16)).toThrow(/in flight/);
  gpu.device.queue.submit([encoder.finish()]);
  expect([...(await first.read())]).toEqual([0, 0, 0, 0]);
  ring.dispose();
  expect(() => ring.copy(gpu.device.createCommandEncoder(), source, 16)).toThrow(DisposedError);
  gpu.destroyBuffer(source);
});

test('a step that failed validation rejects instead of reading zeros', async () => {
  const gpu = await device();
  const ring = await ReadbackRing.create(gpu, 16, 1);
  const encoder = gpu.device.createCommandEncoder();
  const invalid = gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
  const readback = ring.copy(encoder, invalid, 16);
  gpu.device.queue.submit([encoder.finish()]);
  await expect(readback.read()).rejects.toThrow(KernelError);
  invalid.destroy();
  ring.dispose();
});
