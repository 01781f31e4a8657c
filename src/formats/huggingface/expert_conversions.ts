/** Experts of gpt-oss: MXFP4 in blocks and scales of their own tensors, gate and up projection in alternating rows. */
import type { StoredTensor } from '../safetensors/checkpoint';
import { broken, bytesOf, bytesOfValue, type Conversion, expectDtype, expectRank, floats } from './described_tensor';
import { groupedSource } from './stored_rows';

/** Rows of an expert as they lie, or gate and up in turns: GGUF has all gates first. */
type RowOrder = 'plain' | 'alternating';

/** The stored row that stands at `row`. */
function storedRow(order: RowOrder, row: number, rows: number): number {
  if (order === 'plain') return row;
  return row < rows / 2 ? 2 * row : 2 * (row - rows / 2) + 1;
}

function expectEven(order: RowOrder, rows: number, { name }: StoredTensor): void {
  if (order === 'alternating' && rows % 2 !== 0)
    throw broken(`tensor "${name}" has ${rows} rows, expected an even number`);
}

const BLOCK_VALUES = 32;
const BLOCK_BYTES = 17;

/**
 * `NAME_blocks` [experts, rows, blocks, 16], a byte for two neighbours with the first in its low half, and `NAME_scales`
 * [experts, rows, blocks] as ggml's blocks: the scale, then bytes that pair values 16 apart.
 */
export function mxfp4Experts(name: string, target: string, order: RowOrder): Readonly<Record<string, Conversion>> {
  const blocks: Conversion = (stored, { at, checkpoint }) => {
    const scalesName = stored.name.replace(/_blocks$/, '_scales');
    const scales = checkpoint.get(scalesName);
    if (!scales) throw broken(`tensor "${stored.name}" is there without "${scalesName}"`);
    expectDtype(stored, ['U8']);
    expectDtype(scales, ['U8']);
    const [experts, rows, perRow, bytes] = stored.shape;
    if (stored.shape.length !== 4 || bytes !== 16 || stored.byteLength === 0) {
      throw broken(
        `tensor "${stored.name}" has shape [${stored.shape.join(', ')}], expected [experts, rows, blocks, 16]`,
      );
    }
    if (scales.shape.join() !== [experts, rows, perRow].join()) {
      throw broken(`tensors "${stored.name}" and "${scalesName}" do not fit together`);
    }
    expectEven(order, rows, stored);
    const pairs = rows * perRow * 16;
    const size = rows * perRow * BLOCK_BYTES;
    const source = groupedSource(stored.source.name, experts, size, async (expert, signal) => {
      const [packed, exponents] = await Promise.all([
        bytesOf(stored, expert * pairs, pairs).read(0, pairs, signal),
        bytesOf(scales, expert * rows * perRow, rows * perRow).read(0, rows * perRow, signal),
      ]);
      return repack(packed, exponents, rows, perRow, order);
    });
    const shape = [perRow * BLOCK_VALUES, rows, experts];
    return [{ tensor: { name: at(target), type: 'MXFP4', shape, byteLength: source.size }, bytes: source }];
  };
  const scales: Conversion = (stored, { checkpoint }) => {
    const blocksName = stored.name.replace(/_scales$/, '_blocks');
    if (!checkpoint.has(blocksName)) throw broken(`tensor "${stored.name}" is there without "${blocksName}"`);
    return [];
  };
  return { [`${name}_blocks`]: blocks, [`${name}_scales`]: scales };
}

function repack(
  packed: Uint8Array,
  exponents: Uint8Array,
  rows: number,
  perRow: number,
  order: RowOrder,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(rows * perRow * BLOCK_BYTES);
  for (let row = 0; row < rows; row++) {
    const first = storedRow(order, row, rows) * perRow;
    for (let block = 0; block < perRow; block++) {
      const from = (first + block) * 16;
      const to = (row * perRow + block) * BLOCK_BYTES;
      out[to] = exponents[first + block];
      for (let i = 0; i < 8; i++) {
        const near = packed[from + i];
        const far = packed[from + 8 + i];
        out[to + 1 + 2 * i] = (near & 15) | ((far & 15) << 4);
        out[to + 2 + 2 * i] = (near >>> 4) | (far & 0xf0);
      }
    }
  }
  return out;
}

/** Unpacked experts [experts, cols, rows], transposed. */
export function fusedExperts(target: string, order: RowOrder): Conversion {
  return (stored, { at }) => {
    expectDtype(stored);
    expectRank(stored, [3], 'a matrix for each expert');
    const [experts, cols, rows] = stored.shape;
    expectEven(order, rows, stored);
    const size = bytesOfValue(stored);
    const bytes = rows * cols * size;
    const source = groupedSource(stored.source.name, experts, bytes, async (expert, signal) => {
      const values = await bytesOf(stored, expert * bytes, bytes).read(0, bytes, signal);
      const out = new Uint8Array(bytes);
      for (let row = 0; row < rows; row++) {
        const from = storedRow(order, row, rows);
        for (let col = 0; col < cols; col++) {
          const at = (col * rows + from) * size;
          const to = (row * cols + col) * size;
          for (let i = 0; i < size; i++) out[to + i] = values[at + i];
        }
      }
      return out;
    });
    return [floats(at(target), stored, [experts, rows, cols], source)];
  };
}

/** Biases [experts, rows] of gates and up projections in turns. */
export function alternatingBiases(target: string): Conversion {
  return (stored, { at }) => {
    expectDtype(stored);
    expectRank(stored, [2], 'a vector for each expert');
    const [experts, rows] = stored.shape;
    expectEven('alternating', rows, stored);
    const size = bytesOfValue(stored);
    const source = groupedSource(stored.source.name, 1, stored.byteLength, async (_, signal) => {
      const values = await bytesOf(stored).read(0, stored.byteLength, signal);
      const out = new Uint8Array(values.length);
      for (let i = 0; i < experts * rows; i++) {
        const from = i - (i % rows) + storedRow('alternating', i % rows, rows);
        out.set(values.subarray(from * size, (from + 1) * size), i * size);
      }
      return out;
    });
    return [floats(at(target), stored, [experts, rows], source)];
  };
}
