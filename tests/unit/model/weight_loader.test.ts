import { describe, expect, test } from 'vitest';
import { AbortedError } from '../../../src/errors';
import type { ByteSource, Gguf, GgufTensor } from '../../../src/formats/gguf/gguf';
import type { ModelSpec } from '../../../src/model/model_spec';
import { loadWeights, type WeightSink } from '../../../src/model/weight_loader';

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

/** The same bytes at once. */
class LocalSource extends PatternSource {
  reads = 0;

  readSync(offset: number, into: Uint8Array): void {
    this.reads++;
    into.set(this.bytes(offset, into.length));
  }
}

/** Room for so many rows in turn. */
function rooms(...counts: readonly number[]): Pick<WeightSink, 'room'> {
  let i = 0;
  return {
    async room(weight, _firstRow, rows) {
      const perRow = weight.name === 'W' ? COLS * 4 : 6;
      return new Uint8Array(perRow * Math.min(rows, counts[i++ % counts.length])).fill(0xcc);
    },
  };
}

async function load(
  source: PatternSource,
  room: Pick<WeightSink, 'room'> = {},
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
      ...room,
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
    for (const [source, room] of [
      [new PatternSource(END, ...pieces), undefined],
      [new PatternSource(END, ...pieces), rooms(1, 300, 7)],
      [new LocalSource(END, ...pieces), rooms(5, 1, 400)],
    ] as const) {
      await expectWhole(source, room);
    }
  });

  async function expectWhole(source: PatternSource, room: Pick<WeightSink, 'room'> | undefined): Promise<void> {
    const { rows, progress } = await load(source, room);
    for (const [weight, name] of [
      ['W', 'large'],
      ['O', 'odd'],
    ]) {
      const { offset, byteLength } = gguf.tensors.get(name) as GgufTensor;
      expect(Buffer.compare(rows.get(weight) ?? Buffer.alloc(0), source.bytes(offset, byteLength))).toBe(0);
    }
    expect(progress.at(-1)).toBe(1);
    expect([...progress].sort((a, b) => a - b)).toEqual(progress);
  }

  test('a local file is read straight into the memory that there is room in', async () => {
    const source = new LocalSource(END, END);
    await load(source, rooms(400));
    expect(source.streams).toBe(0);
    // Two chunks of the large matrix, the small one, two vectors.
    expect(source.reads).toBe(5);
  });

  test('a stream that ends early is an error that says where', async () => {
    const source = new PatternSource(END, 100_000);
    const whole = source.stream.bind(source);
    source.stream = async function* (offset, length) {
      yield* whole(offset, Math.min(length, 1_000_000));
    };
    await expect(load(source)).rejects.toThrow(/pattern: its stream ended at byte 1000064/);
  });

  test('a stream is closed when the rows cannot be taken, and after an abort', async () => {
    for (const fail of [true, false]) {
      const source = new PatternSource(END, 100_000);
      const whole = source.stream.bind(source);
      let open = 0;
      source.stream = async function* (offset, length) {
        open++;
        try {
          yield* whole(offset, length);
        } finally {
          open--;
        }
      };
      const abort = new AbortController();
      const weightRows = async (): Promise<void> => {
        expect(open).toBe(1);
        if (fail) throw new Error('no more');
        abort.abort();
      };
      const loading = loadWeights(
        gguf,
        source,
        spec,
        { ...rooms(20), weightRows, vector: async () => undefined },
        { signal: abort.signal },
      );
      await expect(loading).rejects.toThrow(fail ? /no more/ : AbortedError);
      expect(open).toBe(0);
    }
  });

  test('neighbours come out of one stream, what is far away out of another', async () => {
    const source = new PatternSource(END, END);
    const { calls } = await load(source);
    expect(source.streams).toBe(2);
    // 2.8 MB of whole rows as they are, and the small matrix.
    expect(calls).toBe(2);
  });
});
