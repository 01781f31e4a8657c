/** Orders of values that checkpoints have and GGUF has not, undone while a tensor is read. */
import { decodeRow } from '../dequantize';
import { joinedSource } from '../joined_source';
import type { StoredTensor } from '../safetensors/checkpoint';
import type { WeightFormat } from '../weight_format';
import {
  broken,
  bytesOf,
  bytesOfValue,
  type Conversion,
  type DescribedTensor,
  expectDtype,
  expectRank,
  floats,
  sizesOf,
} from './described_tensor';
import { computedSource, groupedSource } from './stored_rows';

/** GPT-2's matrices [in, out], which it multiplies from the other side. */
export function transposed(target: string): Conversion {
  return (stored, { at }) => {
    expectDtype(stored);
    expectRank(stored, [2], 'a matrix');
    const [cols, rows] = stored.shape;
    const size = bytesOfValue(stored);
    const bytes = groupedSource(stored.source.name, 1, stored.byteLength, async (_, signal) =>
      transpose(await bytesOf(stored).read(0, stored.byteLength, signal), cols, rows, size),
    );
    return [floats(at(target), stored, [rows, cols], bytes)];
  };
}

/** `values` [cols, rows] of `size` bytes each as [rows, cols]. */
function transpose(values: Uint8Array, cols: number, rows: number, size: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const from = (col * rows + row) * size;
      const to = (row * cols + col) * size;
      for (let i = 0; i < size; i++) out[to + i] = values[from + i];
    }
  }
  return out;
}

/** Matrices of equal size over one another, one tensor each; in a stack of experts [experts, rows, cols] those of each expert. */
export function splitRows(...targets: readonly string[]): Conversion {
  return (stored, { at }) => {
    expectDtype(stored);
    expectRank(stored, [2, 3], 'a matrix, or one for each expert');
    const sizes = sizesOf(stored);
    const [rows, cols] = sizes.slice(-2);
    if (rows % targets.length !== 0) {
      throw broken(`tensor "${stored.name}": ${rows} rows cannot be cut into ${targets.length}`);
    }
    const part = rows / targets.length;
    const partBytes = part * cols * bytesOfValue(stored);
    const experts = sizes.length === 3 ? [sizes[0]] : [];
    return targets.map((target, i) => {
      const pieces = Array.from({ length: experts[0] ?? 1 }, (_, expert) =>
        bytesOf(stored, (expert * targets.length + i) * partBytes, partBytes),
      );
      return floats(at(target), stored, [...experts, part, cols], joinedSource(stored.source.name, pieces));
    });
  };
}

/** The same tensor under another name, in as many dimensions as it has. */
export function renamed(target: string): Conversion {
  return (stored, { at }) => {
    expectDtype(stored);
    expectRank(stored, [1, 2, 3], 'up to three dimensions');
    return [floats(at(target), stored, sizesOf(stored), bytesOf(stored))];
  };
}

/** Pieces of rows in another order: `pieces` lists the first row and the number of rows of each. */
export function pickRows(
  name: string,
  stored: StoredTensor,
  pieces: readonly (readonly [from: number, count: number])[],
): DescribedTensor {
  expectDtype(stored);
  const sizes = sizesOf(stored);
  const [rows] = sizes;
  const rowBytes = stored.byteLength / rows;
  const picked = pieces.reduce((sum, [, count]) => sum + count, 0);
  if (pieces.some(([from, count]) => from + count > rows)) {
    throw broken(`tensor "${stored.name}" has ${rows} rows, fewer than the configuration's heads take`);
  }
  const bytes = joinedSource(
    stored.source.name,
    pieces.map(([from, count]) => bytesOf(stored, from * rowBytes, count * rowBytes)),
  );
  return floats(name, stored, [picked, ...sizes.slice(1)], bytes);
}

/** Rows of a small matrix, or values of a vector, in the order of `from`; read as a whole. */
export function permuteRows(name: string, stored: StoredTensor, from: readonly number[]): DescribedTensor {
  expectDtype(stored);
  const sizes = sizesOf(stored);
  if (sizes[0] !== from.length) {
    throw broken(`tensor "${stored.name}" has ${sizes[0]} rows, expected ${from.length}`);
  }
  const rowBytes = stored.byteLength / from.length;
  const bytes = groupedSource(stored.source.name, 1, stored.byteLength, async (_, signal) => {
    const values = await bytesOf(stored).read(0, stored.byteLength, signal);
    return gather(values, from, rowBytes, new Uint8Array(values.length));
  });
  return floats(name, stored, sizes, bytes);
}

/** Groups of columns of every row in the order of `from`. */
export function permuteColumns(name: string, stored: StoredTensor, from: readonly number[]): DescribedTensor {
  expectDtype(stored);
  expectRank(stored, [2], 'a matrix');
  const [rows, cols] = stored.shape;
  if (cols % from.length !== 0) {
    throw broken(`tensor "${stored.name}" has ${cols} columns, which cannot be cut into ${from.length} heads`);
  }
  const rowBytes = stored.byteLength / rows;
  const together = Math.max(1, Math.min(rows, Math.floor(CHUNK_BYTES / rowBytes)));
  const chunk = together * rowBytes;
  const bytes = groupedSource(
    stored.source.name,
    Math.ceil(rows / together),
    chunk,
    async (index, signal) => {
      const length = Math.min(chunk, stored.byteLength - index * chunk);
      const values = await bytesOf(stored).read(index * chunk, length, signal);
      const out = new Uint8Array(length);
      for (let at = 0; at < length; at += rowBytes) {
        gather(values.subarray(at, at + rowBytes), from, rowBytes / from.length, out.subarray(at, at + rowBytes));
      }
      return out;
    },
    stored.byteLength,
  );
  return floats(name, stored, stored.shape, bytes);
}

const CHUNK_BYTES = 4 << 20;

function gather(
  values: Uint8Array,
  from: readonly number[],
  bytes: number,
  out: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  from.forEach((index, to) => {
    out.set(values.subarray(index * bytes, (index + 1) * bytes), to * bytes);
  });
  return out;
}

/** A vector of f32 worked out of a stored one. */
export function computedVector(
  name: string,
  stored: StoredTensor,
  compute: (values: Float32Array<ArrayBuffer>) => Float32Array<ArrayBuffer>,
): DescribedTensor {
  expectDtype(stored);
  expectRank(stored, [1], 'a vector');
  const [count] = stored.shape;
  const bytes = computedSource(stored.source.name, count, async (signal) => {
    const raw = await bytesOf(stored).read(0, stored.byteLength, signal);
    return compute(decodeRow(stored.dtype.toLowerCase() as WeightFormat, raw, count));
  });
  return { tensor: { name, type: 'F32', shape: [count], byteLength: 4 * count }, bytes };
}
