import { describe, expect, it } from 'vitest';
import { GREEDY, type Segment } from '../../../src/engine/runner';
import { InternalError } from '../../../src/errors';
import { normals, seededRandom } from '../../../src/model/random';
import { attentionOp } from '../../../src/ops/attention/attention';
import type { AttentionCall, GluCall, RmsNormCall, RopeKvCall } from '../../../src/ops/calls';
import { gluOp } from '../../../src/ops/glu';
import type { Activation } from '../../../src/ops/op';
import { rmsNormOp } from '../../../src/ops/rms_norm';
import { ropeKvOp } from '../../../src/ops/rope_kv';
import { buildRopeTable } from '../../../src/ops/rope_table';
import { TestEnv } from './reference_env';

const SEED = Math.floor(Math.random() * 2 ** 31);

function activation(name: string, cols: number): Activation {
  return { name, cols, rows: 'step', type: 'f32' };
}

function segment(position: number, rows: number, pages: readonly number[]): Segment {
  return { slot: 0, tokens: Array.from({ length: rows }, () => 0), position, pages, sample: 'none', sampling: GREEDY };
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

describe('rms_norm', () => {
  const call: RmsNormCall = {
    op: 'rms_norm',
    x: activation('x', 5),
    weight: { name: 'weight', length: 5 },
    out: activation('out', 5),
    eps: 1e-12,
  };

  it('scales every row to a root mean square of one, then by the weight', () => {
    const env = new TestEnv({ segments: [segment(0, 2, [0])] }, 1, { weight: Float32Array.of(1, 1, 1, 1, 2) });
    env.activation(call.x).set([3, -3, 3, -3, 3, 1e-3, 2e-3, 0, 0, 0]);
    rmsNormOp.reference(call, env);
    const out = env.activation(call.out);
    for (const [i, expected] of [1, -1, 1, -1, 2].entries()) expect(out[i]).toBeCloseTo(expected, 6);
    expect(out[6] / out[5]).toBeCloseTo(2, 6);
    expect(out[5] ** 2 + out[6] ** 2).toBeCloseTo(5, 4);
  });

  it('names what does not fit', () => {
    expect(() => rmsNormOp.check({ ...call, weight: { name: 'blk.0.norm', length: 4 } })).toThrow(
      /"blk.0.norm" is 4, expected 5/,
    );
    expect(() => rmsNormOp.check({ ...call, out: activation('normed', 6) })).toThrow(InternalError);
  });
});

describe('glu', () => {
  it.each(['silu', 'gelu'] as const)(
    '%s is the gate where it is large and nothing where it is very negative',
    (kind) => {
      const call: GluCall = { op: 'glu', x: activation('x', 6), out: activation('out', 3), activation: kind };
      const env = new TestEnv({ segments: [segment(0, 1, [0])] }, 1);
      env.activation(call.x).set([500, -500, 0, 2, 2, 2]);
      gluOp.reference(call, env);
      expect([...env.activation(call.out)].map(Math.abs)).toEqual([1000, 0, 0]);
      expect(() => gluOp.check({ ...call, x: activation('gate_up', 5) })).toThrow(/"gate_up" is 5, expected 6/);
    },
  );
});

describe('rope_kv', () => {
  const cache = { layer: 0, numKvHeads: 1, headDim: 8 };
  const values = buildRopeTable({ ropeDims: 6, base: 100, contextLength: 1000 });
  const call: RopeKvCall = {
    op: 'rope_kv',
    qkv: activation('qkv', 4 * 8),
    q: activation('q', 2 * 8),
    cache,
    numHeads: 2,
    table: { name: 'table', length: values.length },
    ropeDims: 6,
    pairing: 'halves',
  };

  function rotate(pairing: RopeKvCall['pairing'], position: number, qkv: Float32Array): TestEnv {
    const pages = Array.from({ length: 32 }, (_, i) => 31 - i);
    const env = new TestEnv({ segments: [segment(position, 1, pages)] }, 32, { table: values });
    env.activation(call.qkv).set(qkv);
    ropeKvOp.reference({ ...call, pairing }, env);
    return env;
  }

  it.each(['halves', 'interleaved'] as const)('%s: scores depend on the distance alone', (pairing) => {
    const qkv = normals(32, seededRandom(SEED));
    const key = (position: number) => {
      const at = ((31 - Math.floor(position / 32)) * 32 + (position % 32)) * 8;
      return rotate(pairing, position, qkv)
        .kv(cache, 'k')
        .slice(at, at + 8);
    };
    const query = (position: number) => rotate(pairing, position, qkv).activation(call.q).slice(8, 16);
    const near = dot(query(12), key(5));
    expect(dot(query(907), key(900))).toBeCloseTo(near, 4);
    expect(Math.abs(dot(query(14), key(5)) - near)).toBeGreaterThan(1e-5);
  });

  it('turns pairs as named and leaves the other dimensions and V alone', () => {
    const qkv = normals(32, seededRandom(SEED));
    const at = (31 * 32 + 1) * 8;
    const angle = [1, 100 ** (-1 / 3), 100 ** (-2 / 3)];
    for (const pairing of ['halves', 'interleaved'] as const) {
      const env = rotate(pairing, 1, qkv);
      const k = env.kv(cache, 'k').subarray(at, at + 8);
      for (let pair = 0; pair < 3; pair++) {
        const [a, b] = pairing === 'halves' ? [pair, pair + 3] : [2 * pair, 2 * pair + 1];
        expect(k[a]).toBeCloseTo(qkv[16 + a] * Math.cos(angle[pair]) - qkv[16 + b] * Math.sin(angle[pair]), 5);
        expect(k[b]).toBeCloseTo(qkv[16 + a] * Math.sin(angle[pair]) + qkv[16 + b] * Math.cos(angle[pair]), 5);
      }
      expect(k.slice(6)).toEqual(qkv.slice(22, 24));
      expect(env.kv(cache, 'v').slice(at, at + 8)).toEqual(qkv.slice(24));
    }
  });

  it('names what does not fit', () => {
    expect(() => ropeKvOp.check({ ...call, ropeDims: 10 })).toThrow(/ropeDims/);
    expect(() => ropeKvOp.check({ ...call, qkv: activation('qkv', 31) })).toThrow(/"qkv" is 31, expected 32/);
  });
});

describe('attention', () => {
  const cache = { layer: 0, numKvHeads: 2, headDim: 4 };
  const call: AttentionCall = {
    op: 'attention',
    q: activation('q', 4 * 4),
    cache,
    out: activation('out', 4 * 4),
    numHeads: 4,
    scale: 1,
  };
  const pages = [2, 0, 1];

  /** V at a position and KV head holds the position and the head; K is zero. */
  function environment(position: number, rows: number, vectors?: Record<string, Float32Array>): TestEnv {
    const env = new TestEnv({ segments: [segment(position, rows, pages)] }, 3, vectors);
    const v = env.kv(cache, 'v');
    for (let p = 0; p < 96; p++) {
      for (let head = 0; head < 2; head++) v.set([p, head, 1, 0], ((pages[p >> 5] * 2 + head) * 32 + (p % 32)) * 4);
    }
    return env;
  }

  it('with equal scores is the mean of what each row may see, by the group of its head', () => {
    const env = environment(40, 3);
    attentionOp.reference(call, env);
    const out = env.activation(call.out);
    for (let row = 0; row < 3; row++) {
      for (let head = 0; head < 4; head++) {
        const at = (row * 4 + head) * 4;
        expect(out[at]).toBeCloseTo((40 + row) / 2, 4);
        expect(out[at + 1]).toBeCloseTo(head >> 1, 6);
        expect(out[at + 2]).toBeCloseTo(1, 6);
      }
    }
  });

  it('sees no further back than the window', () => {
    const env = environment(40, 1);
    attentionOp.reference({ ...call, window: 3 }, env);
    expect(env.activation(call.out)[0]).toBeCloseTo(39, 4);
    attentionOp.reference({ ...call, window: 1 }, env);
    expect(env.activation(call.out)[0]).toBe(40);
  });

  it('with the full mask sees the rows that come with it, and half the window to either side', () => {
    const env = environment(0, 9);
    attentionOp.reference({ ...call, mask: 'full' }, env);
    for (let row = 0; row < 9; row++) expect(env.activation(call.out)[row * 16]).toBeCloseTo(4, 5);
    attentionOp.reference({ ...call, mask: 'full', window: 5 }, env);
    const expected = [1, 1.5, 2, 3, 4, 5, 6, 6.5, 7];
    for (let row = 0; row < 9; row++) expect(env.activation(call.out)[row * 16]).toBeCloseTo(expected[row], 5);
  });

  it('loses to the sink what the sink weighs', () => {
    const sinks = Float32Array.of(Math.log(10), -1e4, Math.log(30), 1e4);
    const env = environment(9, 1, { sinks });
    attentionOp.reference({ ...call, sinks: { name: 'sinks', length: 4 } }, env);
    const out = env.activation(call.out);
    for (const [head, expected] of [0.5, 1, 0.25, 0].entries()) expect(out[4 * head + 2]).toBeCloseTo(expected, 5);
  });

  it('with a cap lets no score grow past it', () => {
    const env = environment(1, 1);
    env.activation(call.q).fill(1);
    const key = ((pages[0] * 2 + 1) * 32 + 1) * 4;
    env.kv(cache, 'k').fill(1e4, key, key + 4);
    attentionOp.reference({ ...call, softcap: 2 }, env);
    // Scores 0 and 2: position 1 has e² parts of 1 + e².
    expect(env.activation(call.out)[8]).toBeCloseTo(Math.E ** 2 / (1 + Math.E ** 2), 5);
    expect(env.activation(call.out)[0]).toBeCloseTo(0.5, 5);
  });

  it('goes to the key that fits the query', () => {
    const env = environment(70, 1);
    env.activation(call.q).fill(1);
    const key = ((pages[1] * 2 + 1) * 32 + 28) * 4;
    env.kv(cache, 'k').fill(100, key, key + 4);
    attentionOp.reference(call, env);
    expect(env.activation(call.out)[8]).toBeCloseTo(60, 6);
    expect(env.activation(call.out)[0]).toBeCloseTo(35, 4);
    expect(env.activation(call.out)[3 * 4 + 1]).toBeCloseTo(1, 6);
  });

  it('names what does not fit', () => {
    expect(() => attentionOp.check({ ...call, numHeads: 3 })).toThrow(/numHeads \/ numKvHeads/);
    expect(() => attentionOp.check({ ...call, out: activation('attended', 12) })).toThrow(
      /"attended" is 12, expected 16/,
    );
    expect(() => attentionOp.check({ ...call, window: 0 })).toThrow(/window is 0/);
    expect(() => attentionOp.check({ ...call, scale: Number.NaN })).toThrow(/scale/);
    expect(() => attentionOp.check({ ...call, softcap: 0 })).toThrow(/softcap is 0/);
    expect(() => attentionOp.check({ ...call, sinks: { name: 'blk.0.sinks', length: 3 } })).toThrow(
      /"blk.0.sinks" is 3, expected 4/,
    );
  });
});
