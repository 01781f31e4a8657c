import { InternalError, throwIfAborted } from '../errors';
import { decodeFloatValues } from '../formats/float_values';
import type { ByteSource, Gguf, GgufTensor } from '../formats/gguf/gguf';
import { rowBytes } from '../formats/row_bytes';
import type { WeightFormat } from '../formats/weight_format';
import type { Weight } from '../ops/op';
import type { ModelSpec } from './model_spec';
import { openRun, type RunReader, runsOf } from './tensor_reader';

/** Bytes of whole rows that are asked for at once: small enough for any heap, large enough for any disk. */
const CHUNK_BYTES = 4 << 20;

/** Where the loader puts what it reads. */
export interface WeightSink {
  /**
   * Memory to read rows [firstRow, …) to: for one row at least and `rows` at most, as many as its length holds. Valid until `weightRows`,
   * which gets it back. Without it rows come in the loader's own memory.
   */
  room?(weight: Weight, firstRow: number, rows: number, stored: WeightFormat): Promise<Uint8Array<ArrayBuffer>>;
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
export function formatOf(tensor: GgufTensor): WeightFormat {
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
  const tensors = [...gguf.tensors.values()].filter((tensor) => wanted.has(tensor.name));
  const total = tensors.reduce((sum, tensor) => sum + tensor.byteLength, 0);
  let loaded = 0;
  const progress = (bytes: number): void => {
    loaded += bytes;
    options.onProgress?.(loaded, total);
  };

  for (const run of runsOf(tensors)) {
    // Reads that block are for sinks that make a reader wait now and then; others would keep everything else from its turn.
    const reader = openRun(source, run, sink.room !== undefined, options.signal);
    try {
      for (const tensor of run.tensors) {
        throwIfAborted(options.signal);
        const place = places.get(tensor.name);
        if (place) await readRows(reader, tensor, place, sink, options.signal, progress);
        else {
          vectorParts.set(tensor.name, await readVector(reader, tensor));
          progress(tensor.byteLength);
        }
      }
    } finally {
      await reader.close();
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

async function readVector(reader: RunReader, tensor: GgufTensor): Promise<Float32Array<ArrayBuffer>> {
  const bytes = new Uint8Array(tensor.byteLength);
  await reader.fill(tensor.offset, bytes);
  return decodeFloatValues(formatOf(tensor), bytes, tensor.shape[0] * rowsOf(tensor));
}

/** Reads a matrix in chunks of whole rows. A chunk ends with its run, since the row after that goes elsewhere. */
async function readRows(
  reader: RunReader,
  tensor: GgufTensor,
  { weight, firstRow, run, stride }: WeightPlace,
  sink: WeightSink,
  signal: AbortSignal | undefined,
  progress: (bytes: number) => void,
): Promise<void> {
  const stored = formatOf(tensor);
  const perRow = rowBytes(stored, tensor.shape[0]);
  const total = rowsOf(tensor);
  const chunkRows = Math.max(1, Math.min(run, Math.floor(CHUNK_BYTES / perRow)));
  const own = sink.room ? undefined : new Uint8Array(chunkRows * perRow);
  for (let row = 0; row < total; ) {
    throwIfAborted(signal);
    const wanted = Math.min(chunkRows, total - row, run - (row % run));
    const to = firstRow + Math.floor(row / run) * stride + (row % run);
    const room = own?.subarray(0, wanted * perRow) ?? (await sink.room?.(weight, to, wanted, stored));
    const rows = room ? Math.floor(room.length / perRow) : 0;
    if (!room || rows === 0) throw new InternalError(`there is no room for a row of "${tensor.name}"`);
    const bytes = room.subarray(0, rows * perRow);
    await reader.fill(tensor.offset + row * perRow, bytes);
    await sink.weightRows(weight, to, rows, bytes, stored);
    row += rows;
    progress(bytes.length);
  }
}
