import { InternalError, InvalidOptionError } from '../errors';
import { decodeRow } from '../formats/dequantize';
import type { Gguf } from '../formats/gguf/gguf';
import { roundToFormat } from '../formats/quantize';
import { rowBytes } from '../formats/row_bytes';
import type { ModelLayout } from './layout';
import { isSynthetic, type ModelOrigin } from './origin';
import { ReferenceExecutor, type WeightRows } from './reference_executor';
import { type LoadOptions, loadWeights, type WeightSink } from './weight_loader';

/** Reads a model's weights, decoded, into a reference executor: 4 bytes a weight in host memory. Rejects like `loadWeights`, and refuses synthetic models. */
export async function prepareReference(
  gguf: Gguf,
  source: ModelOrigin,
  layout: ModelLayout,
  options: LoadOptions,
): Promise<ReferenceExecutor> {
  if (isSynthetic(source)) {
    throw new InvalidOptionError(
      'backend',
      `"${source.name}" is made on the GPU and cannot run on the reference executor`,
    );
  }
  const matrices = new Map<string, Float32Array>();
  const vectors = new Map<string, Float32Array>();
  const sink: WeightSink = {
    async weightRows(weight, firstRow, rows, bytes, stored) {
      let matrix = matrices.get(weight.name);
      if (!matrix) {
        matrix = new Float32Array(weight.rows * weight.cols);
        matrices.set(weight.name, matrix);
      }
      const perRow = rowBytes(stored, weight.cols);
      for (let row = 0; row < rows; row++) {
        const values = decodeRow(stored, bytes.subarray(row * perRow, (row + 1) * perRow), weight.cols);
        const kept = stored === weight.format ? values : roundToFormat(weight.format, values);
        matrix.set(kept, (firstRow + row) * weight.cols);
      }
    },
    async vector(name, _length, values) {
      vectors.set(name, values);
    },
  };
  await loadWeights(gguf, source, layout.spec, sink, options);
  const weightRows = new Map<string, WeightRows>();
  for (const { weight } of layout.spec.weights) {
    const matrix = matrices.get(weight.name);
    if (!matrix) throw new InternalError(`weight "${weight.name}" was not read`);
    weightRows.set(weight.name, (row) => matrix.subarray(row * weight.cols, (row + 1) * weight.cols));
  }
  return new ReferenceExecutor(weightRows, vectors, layout.limits, layout.kvType);
}
