/** What waits for a GPU that goes away learns why, by a typed error, and nothing rejects unseen. */
import { afterEach, expect, test } from 'vitest';
import { type Batch, GREEDY, type RunnerLimits } from '../../src/engine/runner';
import { DeviceLostError, DisposedError, KernelError } from '../../src/errors';
import { GpuDevice } from '../../src/gpu/device';
import { GpuTensors } from '../../src/model/gpu_tensors';
import { readBuffer } from '../../src/model/read_buffer';
import { StepEncoder, stepBufferWords } from '../../src/model/step_encoder';
import { PreparedPlan } from '../../src/model/webgpu_executor';
import { WebGpuRunner } from '../../src/model/webgpu_runner';
import { WeightUploader } from '../../src/model/weight_uploader';
import type { Activation, Weight } from '../../src/ops/op';
import { samplerStates } from '../../src/ops/sampler_state';
import { PAGE_SIZE } from '../../src/ops/step_layout';

const VOCAB = 40;
const LIMITS: RunnerLimits = {
  maxRows: 4,
  maxSampledRows: 4,
  maxSlots: 1,
  pageSize: PAGE_SIZE,
  numPages: 1,
  contextLength: PAGE_SIZE,
  vocabSize: VOCAB,
};

const devices: GpuDevice[] = [];
afterEach(() => {
  for (const device of devices.splice(0)) device.dispose();
});

async function open(): Promise<GpuDevice> {
  const device = await GpuDevice.create();
  devices.push(device);
  return device;
}

/** A runner whose plan computes nothing: its results are what its buffers hold. */
async function idleRunner(gpu: GpuDevice): Promise<WebGpuRunner> {
  const capacity = { ...LIMITS, maxSegments: LIMITS.maxSlots, tileRows: 1 };
  const states = samplerStates(LIMITS);
  const logits: Activation = { name: 'logits', cols: VOCAB, rows: 'sampled', type: 'f32' };
  const tensors = await GpuTensors.create(gpu, { ...LIMITS, kvType: 'f32', stepWords: stepBufferWords(capacity) });
  await tensors.ensure({ kind: 'activation', tensor: logits, access: 'read' });
  for (const state of Object.values(states)) await tensors.ensure({ kind: 'state', state, access: 'read' });
  const plan = new PreparedPlan([], [], async () => []);
  await plan.prepare();
  const plans = [{ bucket: { minRows: 1, maxRows: LIMITS.maxRows }, plan }];
  return WebGpuRunner.create({
    gpu,
    tensors,
    plans,
    encoder: new StepEncoder(capacity),
    states,
    limits: LIMITS,
    logits,
  });
}

function batch(sample: 'all' | 'none', returnLogits: boolean): Batch {
  const segment = { slot: 0, tokens: [1, 2, 3], position: 0, pages: [0], sample, sampling: GREEDY, returnLogits };
  return { segments: [segment] };
}

test('a buffer that is being read rejects as lost', async () => {
  const gpu = await open();
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
  const source = await gpu.createBuffer({ label: 'source', size: 16, usage });
  // The device goes right after the submit, when the mapping has been asked for.
  const { queue } = gpu.device;
  const submit = queue.submit.bind(queue);
  queue.submit = (commands) => {
    submit(commands);
    queueMicrotask(() => gpu.device.destroy());
  };
  await expect(readBuffer(gpu, source)).rejects.toThrow(DeviceLostError);
  await expect(readBuffer(gpu, source)).rejects.toThrow(DeviceLostError);
});

test('a read that failed validation rejects instead of giving zeros', async () => {
  const gpu = await open();
  const source = await gpu.createBuffer({ label: 'no source', size: 16, usage: GPUBufferUsage.STORAGE });
  await expect(readBuffer(gpu, source)).rejects.toThrow(KernelError);
});

test.each([
  ['scored', batch('all', true)],
  ['sampled', batch('all', false)],
  ['prefilled', batch('none', false)],
])('a step that is being %s rejects as lost', async (_, step) => {
  const gpu = await open();
  const runner = await idleRunner(gpu);
  await expect(runner.run(step)).resolves.toMatchObject({ segments: [{}] });
  const pending = runner.run(step);
  gpu.device.destroy();
  await expect(pending).rejects.toThrow(DeviceLostError);
  await expect(runner.run(step)).rejects.toThrow(DeviceLostError);
});

test('a step that is being scored rejects as disposed', async () => {
  const gpu = await open();
  const pending = (await idleRunner(gpu)).run(batch('all', true));
  gpu.dispose();
  await expect(pending).rejects.toThrow(DisposedError);
});

test.each([
  ['lost', (gpu: GpuDevice) => gpu.device.destroy(), DeviceLostError],
  ['disposed', (gpu: GpuDevice) => gpu.dispose(), DisposedError],
])('weights that are being read reject as %s', async (_, end, error) => {
  const gpu = await open();
  const weight: Weight = { name: 'w', format: 'f32', rows: 8, cols: 64 };
  const tensors = await GpuTensors.create(gpu, { ...LIMITS, kvType: 'f32', stepWords: 4 });
  const parts = await tensors.addWeight(weight);
  const uploader = await WeightUploader.create(gpu);
  const room = await uploader.room(weight, parts, 0, 8);
  expect(room.length).toBe(8 * 64 * 4);
  end(gpu);
  await expect(uploader.take(weight, parts, 0, 8).then(() => uploader.finish())).rejects.toThrow(error);
  await expect(uploader.room(weight, parts, 0, 8).then(() => uploader.finish())).rejects.toThrow(error);
});
