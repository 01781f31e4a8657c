/** Float rows quantised on the GPU: the planes must be those of the rows that ggml's reference rounding gives, repacked. */
import { expect, test } from 'vitest';
import { decodeRow } from '../../src/formats/dequantize';
import { encodeRow } from '../../src/formats/quantize';
import type { WeightFormat } from '../../src/formats/weight_format';
import type { GpuDevice } from '../../src/gpu/device';
import { GpuTensors } from '../../src/model/gpu_tensors';
import { seededRandom } from '../../src/model/random';
import { readBuffer } from '../../src/model/read_buffer';
import { WeightUploader } from '../../src/model/weight_uploader';
import type { Weight } from '../../src/ops/op';
import { BARE, withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const ROWS = 96;
/** An odd number of blocks. */
const COLS = 5 * 32;
const device = withDevice(BARE);

/** Blocks of very different sizes, zeros, ties of the rounding and equal extremes of both signs. */
function values(random: () => number): Float32Array<ArrayBuffer> {
  const all = new Float32Array(ROWS * COLS);
  for (let start = 0; start < all.length; start += 32) {
    const size = 10 ** (8 * random() - 5);
    const kind = Math.floor(random() * 4);
    for (let i = 0; i < 32; i++) {
      const wide = (2 * random() - 1) * size;
      if (kind === 0) all[start + i] = 0;
      else if (kind === 1) all[start + i] = (Math.round(random() * 508 - 254) / 2) * 2 ** -6;
      else all[start + i] = kind === 2 && i % 9 === 0 ? Math.sign(wide) * size : wide;
    }
  }
  return all;
}

async function planes(
  gpu: GpuDevice,
  format: WeightFormat,
  raw: Uint8Array<ArrayBuffer>,
  stored: WeightFormat,
): Promise<Buffer[]> {
  const weight: Weight = { name: 'w', format, rows: ROWS, cols: COLS };
  const tensors = await GpuTensors.create(gpu, {
    maxRows: 1,
    maxSampledRows: 1,
    numPages: 1,
    kvType: 'f32',
    stepWords: 4,
  });
  const uploader = await WeightUploader.create(gpu);
  try {
    const parts = await tensors.addWeight(weight);
    await uploader.write(weight, parts, 0, ROWS, raw, stored);
    await uploader.finish();
    return await Promise.all(
      parts.flatMap((p) => [p.quants, p.scales]).map(async (b) => Buffer.from(await readBuffer(gpu, b))),
    );
  } finally {
    uploader.dispose();
    tensors.dispose();
  }
}

test.each([
  ['f32', 'q8_0'],
  ['f16', 'q8_0'],
  ['bf16', 'q8_0'],
  ['f32', 'q4_0'],
  ['f16', 'q4_0'],
  ['bf16', 'q4_0'],
] as const)('%s rows to %s: codes and scales as ggml rounds them', async (stored, format) => {
  const gpu = await device();
  const raw = encodeRow(stored, values(seededRandom(SEED)));
  const exact = decodeRow(stored, raw, ROWS * COLS);
  const [quants, scales] = await planes(gpu, format, raw, stored);
  const [expectedQuants, expectedScales] = await planes(gpu, format, encodeRow(format, exact), format);
  expect(expectedQuants.some((byte) => byte !== 0)).toBe(true);
  expect(scales.equals(expectedScales), `scales, seed ${SEED}`).toBe(true);
  expect(quants.equals(expectedQuants), `codes, seed ${SEED}`).toBe(true);
});
