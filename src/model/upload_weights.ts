import type { Gguf } from '../formats/gguf/gguf';
import type { GpuDevice } from '../gpu/device';
import type { GpuTensors } from './gpu_tensors';
import type { ModelSpec } from './model_spec';
import { isSynthetic, type ModelOrigin } from './synthetic';
import { fillWeights } from './synthetic_weights';
import { type LoadOptions, loadWeights } from './weight_loader';
import { WeightUploader } from './weight_uploader';

/** Allocates every weight of a model and streams it in, or makes it on the GPU. Resolves when all is in place; rejects like `loadWeights`. */
export async function uploadWeights(
  device: GpuDevice,
  tensors: GpuTensors,
  gguf: Gguf,
  source: ModelOrigin,
  spec: ModelSpec,
  options: LoadOptions,
): Promise<void> {
  for (const { weight } of spec.weights) await tensors.addWeight(weight);
  if (isSynthetic(source)) return fillWeights(device, tensors, source, spec, options);
  const uploader = await WeightUploader.create(device);
  try {
    await loadWeights(
      gguf,
      source,
      spec,
      {
        weightRows: (weight, firstRow, rows, bytes, stored) =>
          uploader.write(weight, tensors.weightParts(weight), firstRow, rows, bytes, stored),
        vector: (name, length, values) => tensors.addVector({ name, length }, values),
      },
      options,
    );
    await uploader.finish();
  } finally {
    uploader.dispose();
  }
}
