import { InternalError, throwIfAborted } from '../errors';
import { decodeRow, rowBytes } from '../formats/dequantize';
import type { ByteSource, Gguf, GgufTensor } from '../formats/gguf/gguf';
import type { WeightFormat } from '../formats/weight_format';
import type { Weight } from '../ops/op';
import type { ModelSpec } from './model_spec';
import { streamTensors } from './tensor_stream';

/** Bytes of whole rows that are handed over at once: small enough for any heap, large enough for any disk. */
const CHUNK_BYTES = 4 << 20;
/** Whole rows of this size are handed over where they were read, without being copied together first. */
const PASSED_ON_BYTES = 1 << 20;

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

  let receiver: Receiver | undefined;
  for await (const { tensor, bytes, ended } of streamTensors(source, inFileOrder, options.signal)) {
    throwIfAborted(options.signal);
    const place = places.get(tensor.name);
    receiver ??= place
      ? new RowReceiver(tensor, place, sink, progress)
      : new VectorReceiver(tensor, (values) => {
          vectorParts.set(tensor.name, values);
          progress(tensor.byteLength);
        });
    await receiver.take(bytes);
    if (!ended) continue;
    await receiver.end();
    receiver = undefined;
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

/** Takes the bytes of one tensor in order. */
interface Receiver {
  take(bytes: Uint8Array<ArrayBuffer>): Promise<void>;
  end(): Promise<void>;
}

class VectorReceiver implements Receiver {
  private readonly bytes: Uint8Array<ArrayBuffer>;
  private filled = 0;

  constructor(
    private readonly tensor: GgufTensor,
    private readonly done: (values: Float32Array<ArrayBuffer>) => void,
  ) {
    this.bytes = new Uint8Array(tensor.byteLength);
  }

  async take(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.bytes.set(bytes, this.filled);
    this.filled += bytes.length;
  }

  async end(): Promise<void> {
    const { tensor } = this;
    this.done(Float32Array.from(decodeRow(formatOf(tensor), this.bytes, tensor.shape[0] * rowsOf(tensor))));
  }
}

/** Cuts a matrix into chunks of whole rows. */
class RowReceiver implements Receiver {
  private readonly perRow: number;
  private readonly chunkRows: number;
  /** Whole words, because the GPU is written in words; the surplus bytes are never read as weights. */
  private readonly chunk: Uint8Array<ArrayBuffer>;
  private filled = 0;
  private row = 0;

  constructor(
    private readonly tensor: GgufTensor,
    private readonly place: WeightPlace,
    private readonly sink: WeightSink,
    private readonly progress: (bytes: number) => void,
  ) {
    this.perRow = rowBytes(formatOf(tensor), tensor.shape[0]);
    this.chunkRows = Math.max(1, Math.min(place.run, Math.floor(CHUNK_BYTES / this.perRow)));
    this.chunk = new Uint8Array(Math.ceil((this.chunkRows * this.perRow) / 4) * 4);
  }

  async take(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { perRow } = this;
    for (let at = 0; at < bytes.length; ) {
      const left = bytes.length - at;
      const passed = Math.min(this.wanted(), Math.floor(left / perRow) * perRow);
      if (this.filled === 0 && passed >= PASSED_ON_BYTES && passed % 4 === 0) {
        await this.hand(bytes.subarray(at, at + passed), passed);
        at += passed;
        continue;
      }
      // A row that was cut in two ends alone where the rest can be passed on.
      const completed = Math.ceil((this.filled + 1) / perRow) * perRow;
      const goal = this.filled > 0 && left > PASSED_ON_BYTES + perRow ? completed : this.wanted();
      const take = Math.min(left, goal - this.filled);
      this.chunk.set(bytes.subarray(at, at + take), this.filled);
      this.filled += take;
      at += take;
      if (this.filled === goal) await this.flush();
    }
  }

  async end(): Promise<void> {
    const { filled, perRow, tensor } = this;
    if (filled % perRow !== 0) throw new InternalError(`tensor "${tensor.name}" ended inside a row`);
    if (filled > 0) await this.flush();
  }

  /** Bytes of the next chunk. It ends with its run, since the row after that goes elsewhere. */
  private wanted(): number {
    const { run } = this.place;
    return Math.min(this.chunkRows, run - (this.row % run)) * this.perRow;
  }

  private async flush(): Promise<void> {
    const { chunk, filled } = this;
    this.filled = 0;
    await this.hand(chunk.subarray(0, Math.ceil(filled / 4) * 4), filled);
  }

  private async hand(bytes: Uint8Array<ArrayBuffer>, size: number): Promise<void> {
    const { weight, firstRow, run, stride } = this.place;
    const { row, perRow, tensor } = this;
    const rows = size / perRow;
    const to = firstRow + Math.floor(row / run) * stride + (row % run);
    await this.sink.weightRows(weight, to, rows, bytes, formatOf(tensor));
    this.row += rows;
    this.progress(size);
  }
}
