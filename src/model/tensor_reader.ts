import { SourceError, throwIfAborted } from '../errors';
import type { ByteSource, GgufTensor } from '../formats/gguf/gguf';

/** Padding between tensors is read along, because asking anew costs more; anything longer is left out. */
const MAX_GAP = 4096;

/** Tensors that lie side by side in the source, in its order. */
export interface TensorRun {
  readonly tensors: readonly GgufTensor[];
  /** The bytes from the first one's to the last one's. */
  readonly start: number;
  readonly end: number;
}

/**
 * Tensors in the order of the source, neighbours together: a model has hundreds of them, many are small, and to open a file, a blob's
 * slice or a request for each costs more than their bytes.
 */
export function runsOf(tensors: readonly GgufTensor[]): TensorRun[] {
  const runs: { tensors: GgufTensor[]; start: number; end: number }[] = [];
  for (const tensor of [...tensors].sort((a, b) => a.offset - b.offset)) {
    const end = tensor.offset + tensor.byteLength;
    const last = runs.at(-1);
    const gap = last ? tensor.offset - last.end : Number.POSITIVE_INFINITY;
    // Tensors that share bytes cannot come out of one stream.
    if (!last || gap < 0 || gap > MAX_GAP) runs.push({ tensors: [tensor], start: tensor.offset, end });
    else {
      last.tensors.push(tensor);
      last.end = end;
    }
  }
  return runs;
}

/** Reads forward through a run's bytes, into the caller's memory. */
export interface RunReader {
  /** Reads the bytes from `offset` on. Reads go forward. Rejects like `ByteSource.stream`. */
  fill(offset: number, into: Uint8Array<ArrayBuffer>): Promise<void>;
  close(): Promise<void>;
}

/** Reads at once where the source can and `atOnce` is set, otherwise out of one stream. */
export function openRun(
  source: ByteSource,
  run: TensorRun,
  atOnce: boolean,
  signal: AbortSignal | undefined,
): RunReader {
  if (!atOnce || !source.readSync) return new StreamReader(source, run, signal);
  return {
    async fill(offset, into) {
      throwIfAborted(signal);
      source.readSync?.(offset, into);
    },
    close: async () => undefined,
  };
}

class StreamReader implements RunReader {
  private readonly pieces: AsyncIterator<Uint8Array<ArrayBuffer>>;
  /** What is left of the last piece, and where it begins. */
  private piece = new Uint8Array();
  private at: number;

  constructor(
    private readonly source: ByteSource,
    run: TensorRun,
    private readonly signal: AbortSignal | undefined,
  ) {
    this.at = run.start;
    this.pieces = source.stream(run.start, run.end - run.start, signal)[Symbol.asyncIterator]();
  }

  async fill(offset: number, into: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.skip(offset - this.at);
    const { length } = into;
    for (let filled = 0; filled < length; ) {
      if (this.piece.length === 0) await this.next();
      // A device that goes takes its mapped memory along; the sink says so.
      if (into.length !== length) return;
      const part = this.piece.subarray(0, length - filled);
      into.set(part, filled);
      filled += part.length;
      this.forward(part.length);
    }
  }

  async close(): Promise<void> {
    await this.pieces.return?.();
  }

  private async skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) {
      if (this.piece.length === 0) await this.next();
      const skipped = Math.min(left, this.piece.length);
      left -= skipped;
      this.forward(skipped);
    }
  }

  private async next(): Promise<void> {
    throwIfAborted(this.signal);
    const { done, value } = await this.pieces.next();
    if (done) {
      throw new SourceError(`${this.source.name}: its stream ended at byte ${this.at}, before all was read`, {
        details: { source: this.source.name, offset: this.at },
      });
    }
    this.piece = value;
  }

  private forward(bytes: number): void {
    this.piece = this.piece.subarray(bytes);
    this.at += bytes;
  }
}
