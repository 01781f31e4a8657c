import { InternalError } from '../errors';
import type { RopeKvCall } from './calls';
import { type CaseSegment, caseBatch } from './case_batch';
import { kvOffset, kvSwap } from './kv_layout';
import type { Activation, ActivationType, Dispatch, KvType, Op, OpCase } from './op';
import { buildRopeTable, ropeAngle, ropeTableLength } from './rope_table';
import { elementBytes, expectInteger, expectShape, rowBytes } from './shape_check';

const LANES = 64;

export const ropeKvOp: Op<RopeKvCall> = {
  name: 'rope_kv',

  check({ qkv, q, cache, numHeads, table, ropeDims }) {
    const { numKvHeads, headDim } = cache;
    expectInteger('rope_kv', 'headDim / 4', headDim / 4, 1);
    expectInteger('rope_kv', 'ropeDims / 2', ropeDims / 2, 1, headDim / 2);
    expectInteger('rope_kv', `rows of "${table.name}"`, table.length / ropeDims, 1);
    expectShape('rope_kv', `columns of "${qkv.name}"`, qkv.cols, (numHeads + 2 * numKvHeads) * headDim);
    expectShape('rope_kv', `columns of "${q.name}"`, q.cols, numHeads * headDim);
    expectShape('rope_kv', `rows of "${qkv.name}"`, qkv.rows, 'step');
    expectShape('rope_kv', `rows of "${q.name}"`, q.rows, 'step');
  },

  reference(call, env) {
    const { cache, numHeads, ropeDims, pairing } = call;
    const { numKvHeads, headDim } = cache;
    const qkv = env.activation(call.qkv);
    const q = env.activation(call.q);
    const k = env.kv(cache, 'k');
    const v = env.kv(cache, 'v');
    const table = env.vector(call.table);
    const heads = numHeads + 2 * numKvHeads;
    const pairs = ropeDims / 2;
    const rotate = (head: Float32Array, position: number): Float32Array => {
      const turned = head.slice();
      for (let pair = 0; pair < pairs; pair++) {
        const [cos, sin] = ropeAngle(table, ropeDims, position, pair);
        const a = pairing === 'interleaved' ? 2 * pair : pair;
        const b = pairing === 'interleaved' ? a + 1 : a + pairs;
        turned[a] = head[a] * cos - head[b] * sin;
        turned[b] = head[a] * sin + head[b] * cos;
      }
      return turned;
    };
    env.batch.rows.forEach(({ position, segment }, row) => {
      const { pages } = env.batch.segments[segment];
      for (let head = 0; head < heads; head++) {
        const start = (row * heads + head) * headDim;
        const values = qkv.subarray(start, start + headDim);
        const kvHead = (head - numHeads) % numKvHeads;
        if (head < numHeads) q.set(rotate(values, position), (row * numHeads + head) * headDim);
        else if (head < numHeads + numKvHeads)
          k.set(rotate(values, position), kvOffset(cache, pages, kvHead, position));
        else v.set(values, kvOffset(cache, pages, kvHead, position));
      }
    });
  },

  dispatches(call, target): readonly Dispatch[] {
    const { qkv, q, cache, numHeads, table, ropeDims, pairing } = call;
    const { numKvHeads, headDim } = cache;
    const needed = ropeTableLength(ropeDims, target.contextLength);
    if (table.length < needed) {
      throw new InternalError(
        `rope_kv: "${table.name}" has ${table.length} values, a context of ${target.contextLength} needs ${needed}`,
      );
    }
    const quads = ((numHeads + 2 * numKvHeads) * headDim) / 4;
    const kvRowBytes = 2 * numKvHeads * headDim * elementBytes(target.kvType);
    return [
      {
        label: `rope_kv ${pairing} ${qkv.type}→${q.type} kv ${target.kvType}`,
        source: {
          entry: 'ops/rope_kv.wgsl',
          swaps: kvSwap(target.kvType),
          constants: { HALF_PAIRING: pairing === 'half' },
          aliases: { ActIn: qkv.type, ActOut: q.type },
          overrides: { NUM_HEADS: numHeads, NUM_KV_HEADS: numKvHeads, HEAD_DIM: headDim, ROPE_DIMS: ropeDims },
        },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: qkv, access: 'read' },
          { kind: 'vector', tensor: table },
          { kind: 'activation', tensor: q, access: 'write' },
          { kind: 'kv', cache, which: 'k', access: 'write' },
          { kind: 'kv', cache, which: 'v', access: 'write' },
        ],
        workgroups: (step) => [Math.ceil(quads / LANES), step.rows, 1],
        traffic: (step) => step.rows * (rowBytes(qkv) + rowBytes(q) + kvRowBytes + 2 * 4 * ropeDims),
      },
    ];
  },
};

interface RopeShape {
  readonly heads: readonly [numHeads: number, numKvHeads: number, headDim: number, ropeDims: number];
  readonly pairing: RopeKvCall['pairing'];
  readonly segments: readonly CaseSegment[];
  readonly kvType: KvType;
  readonly type?: ActivationType;
  /** Frequency factors and a position scale, as long-context files have them. */
  readonly scaled?: boolean;
}

/** Both pairings, partial rotation, several sequences on shuffled pages, far positions, both KV and activation types. */
export function ropeKvCases(seed: number): readonly OpCase<RopeKvCall>[] {
  const shapes: readonly RopeShape[] = [
    { heads: [1, 1, 8, 8], pairing: 'interleaved', segments: [{ position: 0, rows: 1 }], kvType: 'f32' },
    {
      heads: [9, 3, 64, 64],
      pairing: 'interleaved',
      segments: [
        { position: 700, rows: 1 },
        { position: 30, rows: 5 },
        { position: 255, rows: 2 },
      ],
      kvType: 'f32',
    },
    { heads: [8, 1, 80, 20], pairing: 'half', segments: [{ position: 31, rows: 3 }], kvType: 'f32' },
    {
      heads: [14, 2, 64, 64],
      pairing: 'half',
      segments: [
        { position: 3000, rows: 16 },
        { position: 0, rows: 1 },
      ],
      kvType: 'f16',
    },
    { heads: [4, 4, 96, 96], pairing: 'half', segments: [{ position: 0, rows: 65 }], kvType: 'f16', type: 'f16' },
    {
      heads: [2, 2, 256, 128],
      pairing: 'interleaved',
      segments: [{ position: 511, rows: 3 }],
      kvType: 'f16',
      scaled: true,
    },
    { heads: [4, 2, 32, 32], pairing: 'half', segments: [{ position: 4090, rows: 40 }], kvType: 'f32', scaled: true },
  ];
  return shapes.map(({ heads, pairing, segments, kvType, type = 'f32', scaled = false }, i): OpCase<RopeKvCall> => {
    const [numHeads, numKvHeads, headDim, ropeDims] = heads;
    const { batch, numPages, rows, maxLength } = caseBatch(segments, seed + i);
    const activation = (name: string, cols: number): Activation => ({ name, cols, rows: 'step', type });
    const q = activation('q', numHeads * headDim);
    const cache = { layer: 0, numKvHeads, headDim };
    const values = buildRopeTable({
      ropeDims,
      base: 10000,
      contextLength: maxLength,
      ...(scaled && {
        frequencyFactors: Array.from({ length: ropeDims / 2 }, (_, pair) => 1 + pair / 4),
        positionScale: 0.25,
      }),
    });
    const budget = kvType === 'f16' || type === 'f16' ? 1e-6 : 1e-9;
    return {
      label: `rope_kv ${pairing} heads ${numHeads}/${numKvHeads}×${headDim} rope ${ropeDims} rows ${rows} ${type} kv ${kvType}${scaled ? ' scaled' : ''}`,
      calls: [
        {
          op: 'rope_kv',
          qkv: activation('qkv', (numHeads + 2 * numKvHeads) * headDim),
          q,
          cache,
          numHeads,
          table: { name: 'table', length: values.length },
          ropeDims,
          pairing,
        },
      ],
      batch,
      bucket: { minRows: 1, maxRows: rows },
      contextLength: maxLength,
      numPages,
      kvType,
      inputs: { table: values },
      outputs: [
        { tensor: q, budget: type === 'f16' ? 1e-6 : 1e-9 },
        { tensor: { ...cache, which: 'k' }, budget },
        { tensor: { ...cache, which: 'v' }, budget },
      ],
    };
  });
}
