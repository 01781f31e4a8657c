import { expect, test } from 'vitest';
import { randomBlocks } from '../../src/formats/random_blocks';
import { WEIGHT_FORMATS } from '../../src/formats/weight_format';
import { GpuTensors } from '../../src/model/gpu_tensors';
import { normals, seededRandom } from '../../src/model/random';
import { readBuffer } from '../../src/model/read_buffer';
import { StepEncoder, stepBufferWords } from '../../src/model/step_encoder';
import { preparePlans } from '../../src/model/webgpu_executor';
import { WeightUploader } from '../../src/model/weight_uploader';
import type { LinearCall } from '../../src/ops/calls';
import { rowsBatch } from '../../src/ops/case_batch';
import { withDevice } from './variants';

const COLS = 544;
const OUTS = 38;

const device = withDevice();

test.each(WEIGHT_FORMATS)(
  'a row of a %s product is the same to the bit alone, among 3 and among 16',
  async (format) => {
    const gpu = await device();
    const random = seededRandom(97);
    const call: LinearCall = {
      op: 'linear',
      x: { name: 'x', cols: COLS, rows: 'step', type: 'f32' },
      weight: { name: 'w', format, rows: OUTS, cols: COLS },
      out: { name: 'out', cols: OUTS, rows: 'step', type: 'f32' },
      outColumn: 0,
      norm: { weight: { name: 'norm', length: COLS }, eps: 1e-5 },
      accumulate: false,
      epilogue: 'none',
    };
    const capacity = { maxRows: 16, maxSegments: 1, maxSampledRows: 1, contextLength: 128, tileRows: 32 };
    const tensors = await GpuTensors.create(gpu, {
      maxRows: 16,
      maxSampledRows: 1,
      numPages: 8,
      kvType: 'f32',
      stepWords: stepBufferWords(capacity),
    });
    const uploader = await WeightUploader.create(gpu);
    try {
      await tensors.addWeight(call.weight);
      await tensors.addVector({ name: 'norm', length: COLS }, normals(COLS, random));
      await uploader.write(
        call.weight,
        tensors.weightParts(call.weight),
        0,
        OUTS,
        randomBlocks(format, OUTS * COLS, random),
      );
      await uploader.finish();
      const [plan] = await preparePlans(gpu, tensors, [
        {
          calls: [call],
          target: {
            capabilities: gpu.capabilities,
            bucket: { minRows: 1, maxRows: 16 },
            kvType: 'f32',
            contextLength: 128,
            maxSampledRows: 1,
            maxSlots: 1,
            weightParts: (weight) => tensors.weightParts(weight),
          },
        },
      ]);
      const run = async (rows: Float32Array<ArrayBuffer>): Promise<Uint32Array> => {
        const count = rows.length / COLS;
        const { words, shape } = new StepEncoder(capacity).encode(rowsBatch(count, 5).batch);
        const { queue } = gpu.device;
        queue.writeBuffer(tensors.step, 0, words);
        queue.writeBuffer(tensors.activation(call.x), 0, rows);
        await gpu.checked('linear', () => {
          const encoder = gpu.device.createCommandEncoder();
          const pass = encoder.beginComputePass();
          plan.encode(pass, shape);
          pass.end();
          queue.submit([encoder.finish()]);
        });
        return new Uint32Array(await readBuffer(gpu, tensors.activation(call.out)), 0, count * OUTS);
      };
      const x = normals(16 * COLS, random);
      const together = await run(x);
      for (const row of [0, 6, 11, 15]) {
        const own = x.slice(row * COLS, (row + 1) * COLS);
        const expected = together.slice(row * OUTS, (row + 1) * OUTS);
        expect(await run(own)).toEqual(expected);
        const among = normals(3 * COLS, random);
        among.set(own, COLS);
        expect((await run(among)).slice(OUTS, 2 * OUTS)).toEqual(expected);
      }
    } finally {
      uploader.dispose();
      tensors.dispose();
    }
  },
);
