import { describe, expect, test } from 'vitest';
import type { ByteSource, Gguf, GgufTensor } from '../../../src/formats/gguf/gguf';
import type { ModelSpec } from '../../../src/model/model_spec';
import { loadWeights } from '../../../src/model/weight_loader';

/** Bytes that say where in the source they are, read as they come in pieces of these sizes. */
class PatternSource implements ByteSource {
  readonly name = 'pattern';
  streams = 0;
  readonly #all: Uint8Array<ArrayBuffer>;
  readonly #pieces: readonly number[];

  constructor(
    readonly size: number,
    ...pieces: readonly number[]
  ) {
    this.#all = Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
    this.#pieces = pieces;
  }

  bytes(offset: number, length: number): Uint8Array {
    return this.#all.subarray(offset, offset + length);
  }

  async read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#all.slice(offset, offset + length);
  }

  async *stream(offset: number, length: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    this.streams++;
    let i = 0;
    for (let at = 0; at < length; ) {
      const size = Math.min(length - at, this.#pieces[i++ % this.#pieces.length]);
      // Valid only until the next is asked for.
      const piece = this.#all.slice(offset + at, offset + at + size);
      yield piece;
      piece.fill(0xee);
      at += size;
    }
  }
}

const MATRIX_ROWS = 700;
const COLS = 1024;

const tensor = (name: string, type: GgufTensor['type'], shape: number[], offset: number, byteLength: number) =>
  ({ name, type, shape, offset, byteLength }) as GgufTensor;

/** A vector, padding, a large matrix, a matrix whose rows are no whole words, far away another vector. */
const TENSORS = [
  tensor('norm', 'F32', [8], 64, 32),
  tensor('large', 'F32', [COLS, MATRIX_ROWS], 128, MATRIX_ROWS * COLS * 4),
  tensor('odd', 'F16', [3, 5], 128 + MATRIX_ROWS * COLS * 4, 30),
  tensor('far', 'F32', [4], 128 + MATRIX_ROWS * COLS * 4 + 100_000, 16),
];
const END = TENSORS[3].offset + 16;

const gguf = { tensors: new Map(TENSORS.map((each) => [each.name, each])) } as unknown as Gguf;
const spec = {
  weights: [
    { weight: { name: 'W', format: 'f32', rows: MATRIX_ROWS, cols: COLS }, tensors: ['large'] },
    { weight: { name: 'O', format: 'f16', rows: 5, cols: 3 }, tensors: ['odd'] },
  ],
  vectors: ['norm', 'far'].map((name) => ({
    vector: { name, length: name === 'norm' ? 8 : 4 },
    tensors: [name],
  })),
} as unknown as ModelSpec;

async function load(
  source: PatternSource,
): Promise<{ rows: Map<string, Uint8Array>; calls: number; progress: number[] }> {
  const rows = new Map([
    ['W', new Uint8Array(MATRIX_ROWS * COLS * 4)],
    ['O', new Uint8Array(30)],
  ]);
  const progress: number[] = [];
  let calls = 0;
  await loadWeights(
    gguf,
    source,
    spec,
    {
      async weightRows(weight, firstRow, count, bytes) {
        calls++;
        const perRow = weight.name === 'W' ? COLS * 4 : 6;
        expect(bytes.length).toBe(count * perRow);
        rows.get(weight.name)?.set(bytes, firstRow * perRow);
      },
      async vector(name, length, values) {
        const { offset } = gguf.tensors.get(name) as GgufTensor;
        expect(new Uint8Array(values.buffer)).toEqual(Uint8Array.from(source.bytes(offset, length * 4)));
      },
    },
    { onProgress: (loaded, total) => progress.push(loaded / total) },
  );
  return { rows, calls, progress };
}

describe('weights come out as they are in the source', () => {
  test.each([
    ['in one piece', [END]],
    ['in pieces that cut rows', [1_500_001, 7, 900_000]],
    ['in small pieces', [65_537]],
    ['in pieces that end with rows', [4096 * 300]],
  ])('%s', async (_, pieces) => {
    const source = new PatternSource(END, ...pieces);
    const { rows, progress } = await load(source);
    for (const [weight, name] of [
      ['W', 'large'],
      ['O', 'odd'],
    ]) {
      const { offset, byteLength } = gguf.tensors.get(name) as GgufTensor;
      expect(Buffer.compare(rows.get(weight) ?? Buffer.alloc(0), source.bytes(offset, byteLength))).toBe(0);
    }
    expect(progress.at(-1)).toBe(1);
    expect([...progress].sort((a, b) => a - b)).toEqual(progress);
  });

  test('neighbours come out of one stream, what is far away out of another', async () => {
    const source = new PatternSource(END, END);
    const { calls } = await load(source);
    expect(source.streams).toBe(2);
    // 2.8 MB of whole rows as they are, and the small matrix.
    expect(calls).toBe(2);
  });
});
