/** Weights arrive in chunks of any number of rows and may lie in parts: the planes must be what one write into one part gives. */
import { expect, test } from 'vitest';
import { BLOCK_FORMATS } from '../../src/formats/blocks';
import { randomBlocks } from '../../src/formats/random_blocks';
import { rowBytes } from '../../src/formats/row_bytes';
import { WEIGHT_FORMATS, type WeightFormat } from '../../src/formats/weight_format';
import type { GpuDevice } from '../../src/gpu/device';
import { GpuTensors } from '../../src/model/gpu_tensors';
import { seededRandom } from '../../src/model/random';
import { readBuffer } from '../../src/model/read_buffer';
import { WeightUploader } from '../../src/model/weight_uploader';
import type { Weight } from '../../src/ops/op';
import { planeBytes } from '../../src/ops/weights/layout';
import { BARE, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const device = withDevice(BARE);

interface Written {
  readonly parts: number;
  readonly quants: Buffer;
  readonly scales: Buffer;
}

/** The planes of a weight whose rows were written in chunks, all parts one after the other. */
async function written(
  gpu: GpuDevice,
  weight: Weight,
  raw: Uint8Array,
  chunks: readonly number[],
  maxBindingBytes?: number,
): Promise<Written> {
  const sizes = { maxRows: 1, maxSampledRows: 1, numPages: 1, kvType: 'f32', stepWords: 4, maxBindingBytes } as const;
  const tensors = await GpuTensors.create(gpu, sizes);
  const uploader = await WeightUploader.create(gpu);
  try {
    const parts = await tensors.addWeight(weight);
    const perRow = rowBytes(weight.format, weight.cols);
    let row = 0;
    for (const rows of chunks) {
      const bytes = raw.subarray(row * perRow, (row + rows) * perRow);
      const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
      padded.set(bytes);
      await uploader.write(weight, parts, row, rows, padded);
      row += rows;
    }
    expect(row).toBe(weight.rows);
    await uploader.finish();
    const plane = async (name: 'quants' | 'scales'): Promise<Buffer> => {
      const found: Buffer[] = [];
      for (const part of parts) {
        // Buffers are rounded up, and floats have no scales in theirs.
        const bytes = planeBytes(weight.format, part.rows, weight.cols)[name];
        const empty = name === 'scales' && /^b?f/.test(weight.format);
        found.push(Buffer.from(await readBuffer(gpu, part[name])).subarray(0, empty ? 0 : bytes));
      }
      return Buffer.concat(found);
    };
    return { parts: parts.length, quants: await plane('quants'), scales: await plane('scales') };
  } finally {
    uploader.dispose();
    tensors.dispose();
  }
}

/** Splits `rows` into random chunks of one row and more. */
function randomChunks(rows: number, random: () => number): number[] {
  const chunks: number[] = [];
  for (let left = rows; left > 0; ) {
    const rowsNow = Math.min(left, 1 + Math.floor(random() * 45));
    chunks.push(rowsNow);
    left -= rowsNow;
  }
  return chunks;
}

/** An odd number of blocks. */
function colsOf(format: WeightFormat): number {
  return 3 * Math.max(32, BLOCK_FORMATS[format].blockSize);
}

test.each(WEIGHT_FORMATS)('%s: chunks of odd numbers of rows that cross the borders of parts', async (format) => {
  const gpu = await device();
  const random = seededRandom(SEED);
  const weight: Weight = { name: 'w', format, rows: 150, cols: colsOf(format) };
  const raw = randomBlocks(format, weight.rows * weight.cols, random);
  const whole = await written(gpu, weight, raw, [weight.rows]);
  const chunks = randomChunks(weight.rows, random);
  const chunked = await written(gpu, weight, raw, chunks, planeBytes(format, 64, weight.cols).quants);
  expect(whole.parts).toBe(1);
  expect(chunked.parts).toBe(3);
  expect(whole.quants.some((byte) => byte !== 0)).toBe(true);
  expect(chunked.quants.equals(whole.quants), `seed ${SEED}, chunks ${chunks.join()}`).toBe(true);
  expect(chunked.scales.equals(whole.scales), `seed ${SEED}, chunks ${chunks.join()}`).toBe(true);
});

test('one write of more rows than the raw buffer holds', async () => {
  const gpu = await device();
  // 102 bytes a row: an odd number of rows ends in the middle of a word.
  const weight: Weight = { name: 'w', format: 'q8_0', rows: 90_001, cols: 96 };
  const raw = randomBlocks('q8_0', weight.rows * weight.cols, seededRandom(SEED));
  const whole = await written(gpu, weight, raw, [weight.rows]);
  const halves = await written(gpu, weight, raw, [45_001, 45_000], planeBytes('q8_0', 30_016, 96).quants);
  expect(halves.parts).toBe(3);
  expect(halves.quants.equals(whole.quants), `seed ${SEED}`).toBe(true);
  expect(halves.scales.equals(whole.scales), `seed ${SEED}`).toBe(true);
  // The last row, by hand: each block's two bytes of scale, then its codes.
  const last = raw.subarray(90_000 * 102);
  for (let block = 0; block < 3; block++) {
    const codes = last.subarray(34 * block + 2, 34 * block + 34);
    expect(whole.quants.subarray((90_000 * 3 + block) * 32, (90_000 * 3 + block + 1) * 32)).toEqual(Buffer.from(codes));
    const scale = whole.scales.subarray(90_000 * 8 + 2 * block, 90_000 * 8 + 2 * block + 2);
    expect(scale).toEqual(Buffer.from(last.subarray(34 * block, 34 * block + 2)));
  }
});

test('one write of more rows than the raw buffer holds, of an odd number of bytes each', async () => {
  const gpu = await device();
  const weight: Weight = { name: 'w', format: 'mxfp4', rows: 170_001, cols: 96 };
  const raw = randomBlocks('mxfp4', weight.rows * weight.cols, seededRandom(SEED));
  const whole = await written(gpu, weight, raw, [weight.rows]);
  const halves = await written(gpu, weight, raw, [85_001, 85_000]);
  expect(halves.quants.equals(whole.quants), `seed ${SEED}`).toBe(true);
  expect(halves.scales.equals(whole.scales), `seed ${SEED}`).toBe(true);
  const exponents = [0, 17, 34].map((at) => raw[170_000 * 51 + at]);
  expect([...whole.scales.subarray(170_000 * 4)]).toEqual([...exponents, 0]);
});

test('what was read in part and given up leaves nothing allocated', async () => {
  const gpu = await device();
  const before = gpu.allocatedBytes;
  const weight: Weight = { name: 'w', format: 'q8_0', rows: 64, cols: 64 };
  const sizes = { maxRows: 1, maxSampledRows: 1, numPages: 1, kvType: 'f32', stepWords: 4 } as const;
  const tensors = await GpuTensors.create(gpu, sizes);
  const parts = await tensors.addWeight(weight);
  const uploader = await WeightUploader.create(gpu, 3 << 20);
  (await uploader.room(weight, parts, 0, 64)).fill(1);
  await uploader.take(weight, parts, 0, 64);
  await uploader.room(weight, parts, 0, 64);
  uploader.dispose();
  tensors.dispose();
  expect(gpu.allocatedBytes).toBe(before);
  gpu.throwIfFaulted();
});

test('a row longer than a chunk', async () => {
  const gpu = await device();
  const cols = (2 << 20) / 4 + 4096;
  const weight: Weight = { name: 'w', format: 'f32', rows: 2, cols };
  const values = Float32Array.from({ length: 2 * cols }, (_, i) => i);
  const sizes = { maxRows: 1, maxSampledRows: 1, numPages: 1, kvType: 'f32', stepWords: 4 } as const;
  const tensors = await GpuTensors.create(gpu, sizes);
  const parts = await tensors.addWeight(weight);
  const uploader = await WeightUploader.create(gpu, cols * 4);
  await uploader.write(weight, parts, 0, 2, new Uint8Array(values.buffer));
  await uploader.finish();
  uploader.dispose();
  expect(Buffer.from(await readBuffer(gpu, parts[0].quants)).equals(Buffer.from(values.buffer))).toBe(true);
  tensors.dispose();
});
