import { expect, test } from 'vitest';
import type { GpuDevice } from '../../src/gpu/device';
import { GpuTensors } from '../../src/model/gpu_tensors';
import { normals, seededRandom } from '../../src/model/random';
import { readBuffer } from '../../src/model/read_buffer';
import { StepEncoder, stepBufferWords } from '../../src/model/step_encoder';
import { preparePlans } from '../../src/model/webgpu_executor';
import type { LinearCall } from '../../src/ops/calls';
import { rowsBatch } from '../../src/ops/case_batch';
import type { Activation, KernelTarget, Weight } from '../../src/ops/op';
import { loadRandomWeights } from './random_weight';
import { withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const MAX_ROWS = 16;
const COLS = 544;
const device = withDevice();

const x: Activation = { name: 'x', cols: COLS, rows: 'step', type: 'f32' };
const out: Activation = { name: 'out', cols: 61, rows: 'step', type: 'f32' };
const WEIGHTS: readonly Weight[] = [
  { name: 'queries and keys', format: 'q4_0', rows: 44, cols: COLS },
  { name: 'values', format: 'q8_0', rows: 17, cols: COLS },
];
const CALLS = WEIGHTS.map((weight, i): LinearCall => {
  const norm = { weight: { name: 'norm', length: COLS }, eps: 1e-5 };
  return { op: 'linear', x, weight, out, outColumn: 44 * i, norm, accumulate: false, epilogue: 'none' };
});

async function loaded(gpu: GpuDevice, random: () => number, stepWords: number): Promise<GpuTensors> {
  const sizes = { maxRows: MAX_ROWS, maxSampledRows: 1, numPages: 1, kvType: 'f32', stepWords } as const;
  const tensors = await GpuTensors.create(gpu, sizes);
  await loadRandomWeights(gpu, tensors, WEIGHTS, random);
  await tensors.addVector({ name: 'norm', length: COLS }, normals(COLS, random));
  return tensors;
}

test('two weights read in one dispatch give the bits that each gives by itself, whatever the number of rows', async () => {
  const gpu = await device();
  const random = seededRandom(SEED);
  const capacity = { maxRows: MAX_ROWS, maxSegments: 1, maxSampledRows: 1, contextLength: 64, tileRows: 32 };
  const tensors = await loaded(gpu, random, stepBufferWords(capacity));
  const { capabilities } = gpu;
  const target: KernelTarget = {
    capabilities,
    bucket: { minRows: 3, maxRows: MAX_ROWS },
    kvType: 'f32',
    contextLength: 64,
    maxSampledRows: 1,
    maxSlots: 1,
    weightParts: (weight) => tensors.weightParts(weight),
  };
  // Without bindings for both, each has a dispatch of its own.
  const limits = { ...capabilities.limits, maxStorageBuffersPerShaderStage: 7 };
  const few: KernelTarget = { ...target, capabilities: { ...capabilities, limits } };
  const [together, apart] = await preparePlans(gpu, tensors, [
    { calls: CALLS, target },
    { calls: CALLS, target: few },
  ]);
  const encoder = new StepEncoder(capacity);
  const inputs = normals(MAX_ROWS * COLS, random);
  const { queue } = gpu.device;
  queue.writeBuffer(tensors.activation(x), 0, inputs);
  for (const rows of [3, 16]) {
    const { words, shape } = encoder.encode(rowsBatch(rows, SEED).batch);
    queue.writeBuffer(tensors.step, 0, words);
    const results: Float32Array[] = [];
    for (const plan of [together, apart]) {
      queue.writeBuffer(tensors.activation(out), 0, new Float32Array(MAX_ROWS * out.cols).fill(Number.NaN));
      await gpu.checked('pair', () => {
        const commands = gpu.device.createCommandEncoder();
        const pass = commands.beginComputePass();
        plan.encode(pass, shape);
        pass.end();
        queue.submit([commands.finish()]);
      });
      results.push(new Float32Array(await readBuffer(gpu, tensors.activation(out), 0, rows * out.cols * 4)));
    }
    expect([together, apart].map((plan) => plan.describe(shape).length)).toEqual([1, 2]);
    expect(together.describe(shape)[0].bytes).toBe(apart.describe(shape).reduce((sum, { bytes }) => sum + bytes, 0));
    expect(results[0].every(Number.isFinite), `seed ${SEED}`).toBe(true);
    expect(results[0], `rows ${rows}, seed ${SEED}`).toEqual(results[1]);
  }
  tensors.dispose();
});
