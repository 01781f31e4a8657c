import { InternalError } from '../errors';
import { keptAs } from './activation_store';
import type { QkNorm, RopeKvCall } from './calls';
import { type CaseSegment, caseBatch } from './case_batch';
import { expectKvBlocks, kvGroup, kvOffset, kvPages, kvSwap, kvValueBytes } from './kv_layout';
import type { Activation, ActivationType, Dispatch, KvType, Op, OpCase } from './op';
import { buildRopeTable, ropeAngle, ropeTableLength } from './rope_table';
import { expectInteger, expectShape, rowBytes } from './shape_check';

const LANES = 64;
const ONE = Float32Array.of(1);

/** Of the cache against the reference's, which is quantised likewise: a value that lies halfway may be rounded either way. */
const CACHE_BUDGET: Readonly<Record<KvType, number>> = { f32: 1e-9, f16: 1e-6, q8_0: 1e-6, q4_0: 1e-3 };

/** Whether all heads are scaled by the same headDim weights. */
function sharesWeights({ norm, queriesOnly, cache }: RopeKvCall): boolean {
  return norm?.per === 'head' && norm.weight.length === (queriesOnly ? 1 : 2) * cache.headDim;
}

/** Norm of consecutive groups of `group` values, times weights that repeat. */
function normalised({ kind, eps }: QkNorm, values: Float32Array, group: number, weights: Float32Array): Float32Array {
  const out = new Float32Array(values.length);
  for (let first = 0; first < values.length; first += group) {
    const part = values.subarray(first, first + group);
    const mean = kind === 'layer' ? part.reduce((sum, x) => sum + x, 0) / group : 0;
    const scale = 1 / Math.sqrt(part.reduce((sum, x) => sum + (x - mean) ** 2, 0) / group + eps);
    part.forEach((x, i) => {
      out[first + i] = (x - mean) * scale * weights[(first + i) % weights.length];
    });
  }
  return out;
}

export const ropeKvOp: Op<RopeKvCall> = {
  name: 'rope_kv',

  check(call) {
    const { qkv, q, cache, numHeads, queriesOnly, norm, table, ropeDims } = call;
    const { headDim } = cache;
    const numKvHeads = queriesOnly ? 0 : cache.numKvHeads;
    expectInteger('rope_kv', 'headDim / 4', headDim / 4, 1);
    expectInteger('rope_kv', 'ropeDims / 2', ropeDims / 2, 0, headDim / 2);
    if (table) expectInteger('rope_kv', `rows of "${table.name}"`, table.length / ropeDims, 1);
    else expectShape('rope_kv', 'ropeDims without a table', ropeDims, 0);
    if (norm?.values && (norm.kind !== 'rms' || norm.per !== 'head')) {
      throw new InternalError('rope_kv: values are normalised by head, and by their root mean square');
    }
    if (norm && !sharesWeights(call)) {
      const { name, length } = norm.weight;
      expectShape('rope_kv', `length of "${name}"`, length, (numHeads + numKvHeads) * headDim);
    }
    expectShape('rope_kv', `columns of "${qkv.name}"`, qkv.cols, (numHeads + 2 * numKvHeads) * headDim);
    expectShape('rope_kv', `columns of "${q.name}"`, q.cols, numHeads * headDim);
    expectShape('rope_kv', `rows of "${qkv.name}"`, qkv.rows, 'step');
    expectShape('rope_kv', `rows of "${q.name}"`, q.rows, 'step');
  },

  reference(call, env) {
    const { cache, numHeads, ropeDims, pairing } = call;
    const { headDim } = cache;
    const numKvHeads = call.queriesOnly ? 0 : cache.numKvHeads;
    const qkv = env.activation(call.qkv);
    const q = env.activation(call.q);
    const k = env.kv(cache, 'k');
    const v = env.kv(cache, 'v');
    const { norm } = call;
    const table = call.table && env.vector(call.table);
    const weight = norm && env.vector(norm.weight);
    const qSize = numHeads * headDim;
    const kvSize = numKvHeads * headDim;
    const pairs = ropeDims / 2;
    const normed = (values: Float32Array, which: 'q' | 'k'): Float32Array => {
      if (!norm || !weight) return values;
      const cut = sharesWeights(call) ? headDim : qSize;
      const weights = which === 'q' ? weight.subarray(0, cut) : weight.subarray(cut);
      return normalised(norm, values, norm.per === 'head' ? headDim : values.length, weights);
    };
    const rotate = (head: Float32Array, position: number): Float32Array => {
      const turned = head.slice();
      if (!table) return turned;
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
      const pages = kvPages(cache, env.batch.segments[segment]);
      const values = qkv.subarray(row * (qSize + 2 * kvSize), (row + 1) * (qSize + 2 * kvSize));
      const queries = normed(values.subarray(0, qSize), 'q');
      const keys = normed(values.subarray(qSize, qSize + kvSize), 'k');
      for (let first = 0; first < qSize; first += headDim) {
        q.set(rotate(queries.subarray(first, first + headDim), position), row * qSize + first);
      }
      for (let head = 0; head < numKvHeads; head++) {
        const first = head * headDim;
        const to = kvOffset(cache, pages, head, position);
        k.set(env.cached(rotate(keys.subarray(first, first + headDim), position)), to);
        const value = values.subarray(qSize + kvSize + first, qSize + kvSize + first + headDim);
        v.set(env.cached(norm?.values ? normalised(norm, value, headDim, ONE) : value), to);
      }
    });
  },

  dispatches(call, target): readonly Dispatch[] {
    const { qkv, q, cache, numHeads, queriesOnly, norm, table, ropeDims, pairing } = call;
    const { headDim } = cache;
    const numKvHeads = queriesOnly ? 0 : cache.numKvHeads;
    expectKvBlocks('rope_kv', target.kvType, headDim);
    const needed = ropeTableLength(ropeDims, target.contextLength);
    if (table && table.length < needed) {
      throw new InternalError(
        `rope_kv: "${table.name}" has ${table.length} values, a context of ${target.contextLength} needs ${needed}`,
      );
    }
    const heads = numHeads + 2 * numKvHeads;
    // A norm needs the whole head in one workgroup; without one the quads of a row are dealt out evenly.
    const groups = norm ? heads : Math.ceil((heads * headDim) / 4 / LANES);
    const kvRowBytes = 2 * kvValueBytes(target.kvType, numKvHeads * headDim);
    return [
      {
        label: `rope_kv ${table ? pairing : 'unrotated'}${norm ? ` ${norm.kind} norm` : ''} ${qkv.type}→${q.type} kv ${target.kvType}`,
        source: {
          entry: 'ops/rope_kv.wgsl',
          swaps: { ...kvSwap(target.kvType, 'write'), ...keptAs(q.type) },
          constants: {
            ROTATE: table !== undefined,
            HALF_PAIRING: pairing === 'halves',
            NORM: norm !== undefined,
            LAYER_NORM: norm?.kind === 'layer',
            WHOLE_NORM: norm?.per === 'projection',
            NORM_VALUES: norm?.values === true,
            SHARED_WEIGHTS: sharesWeights(call),
          },
          aliases: { ActIn: qkv.type, ActOut: q.type },
          overrides: {
            NUM_HEADS: numHeads,
            NUM_KV_HEADS: numKvHeads,
            HEAD_DIM: headDim,
            ROPE_DIMS: table ? ropeDims : headDim,
            EPS: norm?.eps ?? 0,
            KV_GROUP: kvGroup(cache),
          },
        },
        bindings: [
          { kind: 'step' },
          { kind: 'activation', tensor: qkv, access: 'read' },
          // A binding that the variant does not read still has to be something.
          table ? { kind: 'vector', tensor: table } : { kind: 'step' },
          norm ? { kind: 'vector', tensor: norm.weight } : { kind: 'step' },
          { kind: 'activation', tensor: q, access: 'write' },
          { kind: 'kv', cache, which: 'k', access: 'write' },
          { kind: 'kv', cache, which: 'v', access: 'write' },
        ],
        workgroups: (step) => [groups, step.rows, 1],
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
  readonly norm?: readonly [kind: QkNorm['kind'], per: QkNorm['per'], special?: 'weights of each' | 'and values'];
  readonly queriesOnly?: boolean;
}

/** Both pairings, partial and no rotation, norms of either kind, several sequences on shuffled pages, far positions, both KV and activation types. */
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
    { heads: [8, 1, 80, 20], pairing: 'halves', segments: [{ position: 31, rows: 3 }], kvType: 'f32' },
    {
      heads: [14, 2, 64, 64],
      pairing: 'halves',
      segments: [
        { position: 3000, rows: 16 },
        { position: 0, rows: 1 },
      ],
      kvType: 'f16',
    },
    { heads: [4, 4, 96, 96], pairing: 'halves', segments: [{ position: 0, rows: 65 }], kvType: 'f16', type: 'f16' },
    {
      heads: [2, 2, 256, 128],
      pairing: 'interleaved',
      segments: [{ position: 511, rows: 3 }],
      kvType: 'f16',
      scaled: true,
    },
    { heads: [4, 2, 32, 32], pairing: 'halves', segments: [{ position: 4090, rows: 40 }], kvType: 'f32', scaled: true },
    { heads: [4, 2, 32, 0], pairing: 'halves', segments: [{ position: 9, rows: 2 }], kvType: 'f32' },
    { heads: [4, 2, 64, 64], pairing: 'halves', segments: [{ position: 30, rows: 17 }], kvType: 'q8_0' },
    { heads: [4, 2, 64, 64], pairing: 'halves', segments: [{ position: 30, rows: 17 }], kvType: 'q4_0' },
    {
      heads: [4, 2, 32, 32],
      pairing: 'halves',
      segments: [{ position: 40, rows: 3 }],
      kvType: 'f32',
      norm: ['rms', 'head', 'and values'],
    },
    {
      heads: [4, 2, 32, 32],
      pairing: 'halves',
      segments: [{ position: 40, rows: 3 }],
      kvType: 'f32',
      norm: ['rms', 'head'],
      queriesOnly: true,
    },
    {
      heads: [2, 1, 264, 264],
      pairing: 'halves',
      segments: [{ position: 40, rows: 2 }],
      kvType: 'f16',
      type: 'f16',
      norm: ['rms', 'head'],
    },
    {
      heads: [5, 1, 80, 20],
      pairing: 'interleaved',
      segments: [{ position: 7, rows: 2 }],
      kvType: 'f32',
      norm: ['rms', 'projection'],
    },
    {
      heads: [3, 3, 32, 8],
      pairing: 'halves',
      segments: [{ position: 7, rows: 2 }],
      kvType: 'f32',
      norm: ['layer', 'head', 'weights of each'],
    },
  ];
  return shapes.map(
    ({ heads, pairing, segments, kvType, type = 'f32', scaled = false, norm, queriesOnly }, i): OpCase<RopeKvCall> => {
      const [numHeads, numKvHeads, headDim, ropeDims] = heads;
      const { batch, numPages, rows, maxLength } = caseBatch(segments, seed + i);
      const activation = (name: string, cols: number): Activation => ({ name, cols, rows: 'step', type });
      const q = activation('q', numHeads * headDim);
      const cache = { layer: 0, numKvHeads, headDim };
      const values = buildRopeTable({
        ropeDims: ropeDims || headDim,
        base: 10000,
        contextLength: maxLength,
        ...(scaled && {
          frequencyFactors: Array.from({ length: ropeDims / 2 }, (_, pair) => 1 + pair / 4),
          positionScale: 0.25,
        }),
      });
      const normLength =
        (norm?.[1] === 'head' && norm[2] !== 'weights of each' ? (queriesOnly ? 1 : 2) : numHeads + numKvHeads) *
        headDim;
      const budget = Math.max(CACHE_BUDGET[kvType], type === 'f16' ? 1e-6 : 0);
      return {
        label: `rope_kv ${pairing} heads ${numHeads}/${numKvHeads}×${headDim} rope ${ropeDims} rows ${rows} ${type} kv ${kvType}${scaled ? ' scaled' : ''}${norm ? ` ${norm.join(' ')} norm` : ''}${queriesOnly ? ' queries only' : ''}`,
        calls: [
          {
            op: 'rope_kv',
            qkv: activation('qkv', (numHeads + (queriesOnly ? 0 : 2 * numKvHeads)) * headDim),
            q,
            cache,
            numHeads,
            table: ropeDims === 0 ? undefined : { name: 'table', length: values.length },
            queriesOnly,
            norm: norm && {
              values: norm[2] === 'and values',
              kind: norm[0],
              per: norm[1],
              weight: { name: 'norm', length: normLength },
              eps: 1e-5,
            },
            ropeDims,
            pairing,
          },
        ],
        batch,
        bucket: { minRows: 1, maxRows: rows },
        contextLength: maxLength,
        numPages,
        kvType,
        inputs: ropeDims === 0 ? undefined : { table: values },
        outputs: [
          { tensor: q, budget: type === 'f16' ? 1e-6 : 1e-9 },
          { tensor: { ...cache, which: 'k' }, budget },
          { tensor: { ...cache, which: 'v' }, budget },
        ],
      };
    },
  );
}
