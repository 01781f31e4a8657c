import { randomBlocks } from '../../src/formats/random_blocks';
import type { GpuDevice } from '../../src/gpu/device';
import type { GpuTensors } from '../../src/model/gpu_tensors';
import { WeightUploader } from '../../src/model/weight_uploader';
import type { Weight } from '../../src/ops/op';

/** Gives each weight random blocks of its format, in place when this resolves. */
export async function loadRandomWeights(
  gpu: GpuDevice,
  tensors: GpuTensors,
  weights: readonly Weight[],
  random: () => number,
): Promise<void> {
  const uploader = await WeightUploader.create(gpu);
  for (const weight of weights) {
    const parts = await tensors.addWeight(weight);
    const raw = randomBlocks(weight.format, weight.rows * weight.cols, random);
    const words = new Uint8Array(Math.ceil(raw.length / 4) * 4);
    words.set(raw);
    await uploader.write(weight, parts, 0, weight.rows, words);
  }
  await uploader.finish();
  uploader.dispose();
}
