import { InternalError, throwIfAborted } from '../errors';
import { decodeRow, rowBytes } from '../formats/dequantize';
import type { ByteSource, Gguf, GgufTensor } from '../formats/gguf/gguf';
import type { WeightFormat } from '../formats/weight_format';
import type { Weight } from '../ops/op';
import type { ModelSpec } from './model_spec';

/** Bytes of whole rows that are handed over at once: small enough for any heap, large enough for any disk. */
const CHUNK_BYTES = 4 << 20;

/** Where the loader puts what it reads. */
export interface WeightSink {
  /**
   * `bytes` holds whole rows in the file's encoding and is valid only during the call. `stored` is that encoding: the weight's own
   * format, or floats that are to be quantised to it.
   */
  weightRows(
    weight: Weight,
    firstRow: number,
    rows: number,
    bytes: Uint8Array<ArrayBuffer>,
    stored: WeightFormat,
  ): Promise<void>;
  vector(name: string, length: number, values: Float32Array<ArrayBuffer>): Promise<void>;
}

export interface LoadOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (loadedBytes: number, totalBytes: number) => void;
}

/** Where a tensor's rows go: all from firstRow on, or in runs of `run` rows that begin `stride` rows apart. */
interface WeightPlace {
  readonly weight: Weight;
  readonly firstRow: number;
  readonly run: number;
  readonly stride: number;
}

/** Rows of a tensor, over all its matrices. */
function rowsOf(tensor: GgufTensor | undefined): number {
  return tensor?.shape.slice(1).reduce((product, size) => product * size, 1) ?? 0;
}

/** What the bytes of a tensor are in. */
function formatOf(tensor: GgufTensor): WeightFormat {
  return (tensor.storedType ?? tensor.type).toLowerCase() as WeightFormat;
}

/**
 * Streams every tensor of the spec from the source into the sink, in the order of the file, holding one chunk of rows at a time.
 * Rejects with AbortedError, SourceError, or what the sink throws.
 */
export async function loadWeights(
  gguf: Gguf,
  source: ByteSource,
  spec: ModelSpec,
  sink: WeightSink,
  options: LoadOptions = {},
): Promise<void> {
  const places = new Map<string, WeightPlace>();
  for (const { weight, tensors } of spec.weights) {
    let firstRow = 0;
    const matrices = weight.rows / (weight.stackRows ?? weight.rows);
    for (const name of tensors) {
      const rows = rowsOf(gguf.tensors.get(name));
      const run = tensors.length === 1 ? rows : rows / matrices;
      places.set(name, { weight, firstRow, run, stride: weight.stackRows ?? weight.rows });
      firstRow += run;
    }
  }
  const vectorParts = new Map<string, Float32Array<ArrayBuffer>>();
  const wanted = new Set([...places.keys(), ...spec.vectors.flatMap((vector) => vector.tensors)]);
  const inFileOrder = [...gguf.tensors.values()]
    .filter((tensor) => wanted.has(tensor.name))
    .sort((a, b) => a.offset - b.offset);
  const total = inFileOrder.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  let loaded = 0;
  const progress = (bytes: number): void => {
    loaded += bytes;
    options.onProgress?.(loaded, total);
  };

  for (const tensor of inFileOrder) {
    throwIfAborted(options.signal);
    const place = places.get(tensor.name);
    if (place) await streamRows(tensor, source, place, sink, progress, options.signal);
    else {
      const bytes = await source.read(tensor.offset, tensor.byteLength, options.signal);
      vectorParts.set(
        tensor.name,
        Float32Array.from(decodeRow(formatOf(tensor), bytes, tensor.shape[0] * rowsOf(tensor))),
      );
      progress(tensor.byteLength);
    }
  }

  for (const { vector, tensors, compute } of spec.vectors) {
    const joined = join(
      tensors.map((name) => {
        const part = vectorParts.get(name);
        if (!part) throw new InternalError(`vector tensor "${name}" was not read`);
        return part;
      }),
    );
    await sink.vector(vector.name, vector.length, compute ? compute(joined) : joined);
  }
}

function join(parts: readonly Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer> {
  if (parts.length === 1) return parts[0];
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

async function streamRows(
  tensor: GgufTensor,
  source: ByteSource,
  { weight, firstRow, run, stride }: WeightPlace,
  sink: WeightSink,
  progress: (bytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const perRow = rowBytes(formatOf(tensor), tensor.shape[0]);
  const chunkRows = Math.max(1, Math.min(run, Math.floor(CHUNK_BYTES / perRow)));
  // Whole words, because the GPU is written in words; the surplus bytes are never read as weights.
  const chunk = new Uint8Array(Math.ceil((chunkRows * perRow) / 4) * 4);
  let filled = 0;
  let row = 0;
  // A chunk ends with its run, since the next row of the tensor goes elsewhere.
  const wanted = (): number => Math.min(chunkRows, run - (row % run)) * perRow;
  const flush = async (): Promise<void> => {
    const count = filled / perRow;
    await sink.weightRows(
      weight,
      firstRow + Math.floor(row / run) * stride + (row % run),
      count,
      chunk.subarray(0, Math.ceil(filled / 4) * 4),
      formatOf(tensor),
    );
    row += count;
    progress(filled);
    filled = 0;
  };
  for await (const piece of source.stream(tensor.offset, tensor.byteLength, signal)) {
    throwIfAborted(signal);
    let at = 0;
    while (at < piece.length) {
      const take = Math.min(piece.length - at, wanted() - filled);
      chunk.set(piece.subarray(at, at + take), filled);
      filled += take;
      at += take;
      if (filled === wanted()) await flush();
    }
  }
  if (filled % perRow !== 0) throw new InternalError(`tensor "${tensor.name}" ended inside a row`);
  if (filled > 0) await flush();
}
