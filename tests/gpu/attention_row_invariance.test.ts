/** A row's result is bit for bit the same whoever else is in the step: what makes batching and speculation lossless. */
import { describe, expect, it } from 'vitest';
import { GREEDY, type Segment } from '../../src/engine/runner';
import { normals, seededRandom } from '../../src/model/random';
import { attentionTunings } from '../../src/ops/attention/tuning';
import type { AttentionCall, OpCall } from '../../src/ops/calls';
import type { Activation, KvType } from '../../src/ops/op';
import { buildRopeTable } from '../../src/ops/rope_table';
import { OpHarness } from './op_harness';
import { withDevice } from './variants';

const SEED = Math.floor(Math.random() * 2 ** 31);
const CONTEXT = 640;
const PAGES_PER_SEQUENCE = CONTEXT / 32;
const NUM_HEADS = 6;
const NUM_KV_HEADS = 2;
const HEAD_DIM = 64;

function activation(name: string, cols: number): Activation {
  return { name, cols, rows: 'step', type: 'f32' };
}

const X = activation('x', 2 * 96);
const QKV = activation('qkv', (NUM_HEADS + 2 * NUM_KV_HEADS) * HEAD_DIM);
const Q = activation('q', NUM_HEADS * HEAD_DIM);
const OUT = activation('out', NUM_HEADS * HEAD_DIM);
const CACHE = { layer: 0, numKvHeads: NUM_KV_HEADS, headDim: HEAD_DIM };
const TABLE = buildRopeTable({ ropeDims: HEAD_DIM, base: 10000, contextLength: CONTEXT });

const SINKS = { name: 'sinks', length: NUM_HEADS };

const NORM = { name: 'norm', length: 2 * HEAD_DIM };

/** With a window, as gpt-oss and gemma have it: sinks, capped scores and norms of queries, keys and values too. */
function layer(window?: number): OpCall[] {
  const table = { name: 'table', length: TABLE.length };
  const special = window === undefined ? {} : { window, softcap: 3, sinks: SINKS };
  return [
    {
      op: 'rope_kv',
      qkv: QKV,
      q: Q,
      cache: CACHE,
      numHeads: NUM_HEADS,
      norm: window === undefined ? undefined : { kind: 'rms', per: 'head', values: true, weight: NORM, eps: 1e-6 },
      table,
      ropeDims: HEAD_DIM,
      pairing: 'halves',
    },
    { op: 'attention', q: Q, cache: CACHE, out: OUT, numHeads: NUM_HEADS, scale: 0.3, ...special },
  ];
}

/** `sequence` owns its own pages, in descending order. */
function segment(sequence: number, position: number, rows: number): Segment {
  const pages = Array.from({ length: PAGES_PER_SEQUENCE }, (_, i) => (sequence + 1) * PAGES_PER_SEQUENCE - 1 - i);
  return {
    slot: sequence,
    tokens: Array.from({ length: rows }, () => 0),
    position,
    pages,
    sample: 'none',
    sampling: GREEDY,
  };
}

function rowsOf(
  values: Float32Array<ArrayBuffer>,
  cols: number,
  first: number,
  count: number,
): Float32Array<ArrayBuffer> {
  return values.slice(first * cols, (first + count) * cols);
}

function expectSameBits(actual: Float32Array, expected: Float32Array, message: string): void {
  expect(actual.length, message).toBe(expected.length);
  expect(actual.every(Number.isFinite), `${message} is finite`).toBe(true);
  const a = new Uint32Array(actual.slice().buffer);
  const b = new Uint32Array(expected.slice().buffer);
  expect(
    a.findIndex((bits, i) => bits !== b[i]),
    message,
  ).toBe(-1);
}

describe('row invariance', () => {
  const device = withDevice();

  it('of rms_norm and glu, alone or among 16', async () => {
    const gpu = await device();
    const normed = activation('normed', X.cols);
    const out = activation('out', X.cols / 2);
    const random = seededRandom(SEED);
    const calls: OpCall[] = [
      { op: 'rms_norm', x: X, weight: { name: 'weight', length: X.cols }, out: normed, eps: 1e-6 },
      { op: 'glu', x: normed, out, activation: 'silu' },
    ];
    const options = { calls, contextLength: CONTEXT, numPages: PAGES_PER_SEQUENCE, kvType: 'f32' as const };
    const vectors = { weight: normals(X.cols, random) };
    const values = normals(16 * X.cols, random);
    const one = await OpHarness.create(gpu, { ...options, vectors, bucket: { minRows: 1, maxRows: 1 } });
    const many = await OpHarness.create(gpu, { ...options, vectors, bucket: { minRows: 2, maxRows: 16 } });
    const together = await many.run({ segments: [segment(0, 0, 16)] }, X, values, out);
    for (let row = 0; row < 16; row++) {
      const alone = await one.run({ segments: [segment(0, row, 1)] }, X, rowsOf(values, X.cols, row, 1), out);
      expectSameBits(alone, together.subarray(row * out.cols, (row + 1) * out.cols), `seed ${SEED}, row ${row}`);
    }
    one.dispose();
    many.dispose();
  });

  it.each<{ kvType: KvType; window?: number }>([
    { kvType: 'f32' },
    { kvType: 'f16' },
    { kvType: 'q4_0' },
    { kvType: 'f16', window: 70 },
  ])(
    'of rope_kv and decode attention over %o: rows of three sequences in one step, or one by one',
    async ({ kvType, window }) => {
      const gpu = await device();
      const calls = layer(window);
      const tunings = attentionTunings(calls[1] as AttentionCall);
      const options = {
        calls,
        contextLength: CONTEXT,
        numPages: 3 * PAGES_PER_SEQUENCE,
        kvType,
        // One of the kernel's tunings: what is true of all is not worth the time of compiling each.
        tuning:
          kvType === 'f16' ? { linear: () => undefined, attention: () => tunings[SEED % tunings.length] } : undefined,
        vectors: {
          table: TABLE,
          sinks: Float32Array.of(-2, -1, 0, 1, 2, 3),
          norm: new Float32Array(NORM.length).fill(1.5),
        },
      };
      const one = await OpHarness.create(gpu, { ...options, bucket: { minRows: 1, maxRows: 1 } });
      const many = await OpHarness.create(gpu, { ...options, bucket: { minRows: 2, maxRows: 16 } });
      const random = seededRandom(SEED);
      // Sequences grow by 8, 5 and 3 rows a step; the first passes the border of a split.
      const sequences = [
        { rows: 8, length: 272 },
        { rows: 5, length: 40 },
        { rows: 3, length: 36 },
      ];
      for (let step = 0; step * sequences[0].rows < sequences[0].length; step++) {
        const segments = sequences.flatMap(({ rows, length }, sequence) =>
          step * rows < length ? [segment(sequence, step * rows, rows)] : [],
        );
        const singles = segments.flatMap(({ slot, position, tokens }) =>
          tokens.map((_, row) => segment(slot, position + row, 1)),
        );
        const values = normals(singles.length * QKV.cols, random);
        const together = await many.run({ segments }, QKV, values, OUT);
        for (const [row, single] of singles.entries()) {
          const alone = await one.run({ segments: [single] }, QKV, rowsOf(values, QKV.cols, row, 1), OUT);
          const expected = together.subarray(row * OUT.cols, (row + 1) * OUT.cols);
          expectSameBits(alone, expected, `seed ${SEED}, sequence ${single.slot}, position ${single.position}`);
        }
      }
      one.dispose();
      many.dispose();
    },
  );
});
