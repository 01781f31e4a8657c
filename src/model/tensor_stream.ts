import type { ByteSource, GgufTensor } from '../formats/gguf/gguf';

/** Bytes of one tensor, in order; valid until the next piece is asked for. */
interface TensorPiece {
  readonly tensor: GgufTensor;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Nothing of this tensor follows. */
  readonly ended: boolean;
}

/** Padding between tensors is read along, because asking anew costs more; anything longer is left out. */
const MAX_GAP = 4096;

/** Tensors that lie side by side in the source. */
interface Run {
  readonly tensors: GgufTensor[];
  end: number;
}

/**
 * The bytes of tensors in the order of the source. Neighbours come out of one stream: a model has hundreds of them, many are small, and
 * to open a file, a blob's slice or a request for each costs more than their bytes. Rejects like `source.stream`.
 */
export async function* streamTensors(
  source: ByteSource,
  tensors: readonly GgufTensor[],
  signal: AbortSignal | undefined,
): AsyncGenerator<TensorPiece, void, undefined> {
  for (const run of runsOf(tensors)) {
    const start = run.tensors[0].offset;
    let index = 0;
    let at = start;
    for await (const piece of source.stream(start, run.end - start, signal)) {
      const pieceStart = at;
      at += piece.length;
      for (; index < run.tensors.length; index++) {
        const tensor = run.tensors[index];
        const end = tensor.offset + tensor.byteLength;
        if (tensor.offset >= at && tensor.byteLength > 0) break;
        const from = Math.max(tensor.offset, pieceStart) - pieceStart;
        const bytes = piece.subarray(from, Math.min(end, at) - pieceStart);
        yield { tensor, bytes, ended: end <= at };
        if (end > at) break;
      }
    }
  }
}

function runsOf(tensors: readonly GgufTensor[]): Run[] {
  const runs: Run[] = [];
  for (const tensor of [...tensors].sort((a, b) => a.offset - b.offset)) {
    const end = tensor.offset + tensor.byteLength;
    const last = runs.at(-1);
    const gap = last ? tensor.offset - last.end : Number.POSITIVE_INFINITY;
    // Tensors that share bytes cannot come out of one stream.
    if (!last || gap < 0 || gap > MAX_GAP) runs.push({ tensors: [tensor], end });
    else {
      last.tensors.push(tensor);
      last.end = end;
    }
  }
  return runs;
}
