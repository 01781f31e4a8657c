import type { Gguf } from '../formats/gguf/gguf';
import { rowBytes } from '../formats/row_bytes';
import type { GpuDevice } from '../gpu/device';
import type { GpuTensors } from './gpu_tensors';
import type { ModelSpec } from './model_spec';
import { isSynthetic, type ModelOrigin } from './origin';
import { formatOf, type LoadOptions, loadWeights } from './weight_loader';
import { WeightUploader } from './weight_uploader';

/** Buffers of weights that are asked for before the first of them is there: each answer is a way to the GPU process and back. */
const ALLOCATIONS_IN_FLIGHT = 16;

async function allocateWeights(tensors: GpuTensors, spec: ModelSpec): Promise<void> {
  for (let first = 0; first < spec.weights.length; first += ALLOCATIONS_IN_FLIGHT) {
    const some = spec.weights.slice(first, first + ALLOCATIONS_IN_FLIGHT);
    // All of them settle, so that nothing is allocated after a failure has been cleaned up.
    const outcomes = await Promise.allSettled(some.map(({ weight }) => tensors.addWeight(weight)));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  }
}

/** Bytes of the longest row of a model's matrices, as it is stored. */
function longestRow(gguf: Gguf, spec: ModelSpec): number {
  const names = spec.weights.flatMap(({ tensors }) => tensors);
  return names.reduce((longest, name) => {
    const tensor = gguf.tensors.get(name);
    return tensor ? Math.max(longest, rowBytes(formatOf(tensor), tensor.shape[0])) : longest;
  }, 0);
}

/** Allocates every weight of a model and streams it in, or makes it on the GPU. Resolves when all is in place; rejects like `loadWeights`. */
export async function uploadWeights(
  device: GpuDevice,
  tensors: GpuTensors,
  gguf: Gguf,
  source: ModelOrigin,
  spec: ModelSpec,
  options: LoadOptions,
): Promise<void> {
  await allocateWeights(tensors, spec);
  if (isSynthetic(source)) {
    const { fillWeights } = await import('./synthetic_weights');
    return await fillWeights(device, tensors, source, spec, options);
  }
  const uploader = await WeightUploader.create(device, longestRow(gguf, spec));
  try {
    await loadWeights(
      gguf,
      source,
      spec,
      {
        room: (weight, firstRow, rows, stored) =>
          uploader.room(weight, tensors.weightParts(weight), firstRow, rows, stored),
        weightRows: (weight, firstRow, rows, _, stored) =>
          uploader.take(weight, tensors.weightParts(weight), firstRow, rows, stored),
        vector: (name, length, values) => tensors.addVector({ name, length }, values),
      },
      options,
    );
    await uploader.finish();
  } finally {
    uploader.dispose();
  }
}
