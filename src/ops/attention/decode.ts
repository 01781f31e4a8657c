import { InternalError } from '../../errors';
import type { AttentionCall } from '../calls';
import { expectKvBlocks, kvGroup, kvSwap, kvValueBytes } from '../kv_layout';
import type { Dispatch, KernelTarget } from '../op';
import { rowBytes } from '../shape_check';
import type { StepShape } from '../step_layout';
import { decodeTile, splitPositions } from './tile';
import { decodeTuning } from './tuning';

/** Buckets up to this many rows decode by splits; a row's result is then the same in each of them. */
export const MAX_DECODE_ROWS = 16;

const REDUCE_LANES = 64;

/** Most positions that a row sees of a sequence of `length`. */
function seenPositions({ mask, window }: AttentionCall, length: number): number {
  if (window === undefined) return length;
  return Math.min(length, mask === 'full' ? 2 * Math.floor(window / 2) + 1 : window);
}

/** Bytes of K and V that a step must read when every sequence is as long as its longest. */
export function kvTraffic(call: AttentionCall, target: KernelTarget, step: StepShape): number {
  const { cache } = call;
  const positions = seenPositions(call, step.maxLength);
  return step.segments * positions * 2 * kvValueBytes(target.kvType, cache.numKvHeads * cache.headDim);
}

/** Split-KV attention: a partial result per (row, head, split), then their sum in the order of positions. */
export function decodeDispatches(call: AttentionCall, target: KernelTarget): readonly Dispatch[] {
  const { q, cache, out, numHeads, scale, window = 0, softcap = 0, sinks } = call;
  const { numKvHeads, headDim } = cache;
  expectKvBlocks('attention', target.kvType, headDim);
  const { workgroupSize, lanesPerKey } = decodeTuning(call, target);
  const { heads, headChunks, headQuads, keys } = decodeTile(numHeads, numKvHeads, headDim, workgroupSize);
  const { limits } = target.capabilities;
  const perSplit = splitPositions(target.contextLength);
  const splitsOf = (length: number): number => {
    const all = Math.ceil(length / perSplit);
    const seen = seenPositions(call, length);
    // A range may begin anywhere in its first split.
    return seen < length ? Math.min(all, Math.ceil((seen - 1) / perSplit) + 1) : all;
  };
  const splits = splitsOf(target.contextLength);
  const quads = headDim / 4;
  const partialBytes = (quads + 1) * 16;
  const bytes = target.bucket.maxRows * numHeads * splits * partialBytes;
  if (bytes > limits.maxStorageBufferBindingSize) {
    throw new InternalError(
      `attention: partials of ${target.bucket.maxRows} rows take ${bytes} bytes, the device binds ${limits.maxStorageBufferBindingSize}`,
    );
  }
  const partialTraffic = (step: StepShape): number => step.rows * numHeads * splitsOf(step.maxLength) * partialBytes;
  const fullMask = call.mask === 'full';
  const partials = { kind: 'scratch', name: 'attention.partials', bytes } as const;
  const shape = `${numHeads}/${numKvHeads}×${headDim}`;
  return [
    {
      label: `attention decode ${shape} ${q.type} kv ${target.kvType}`,
      source: {
        entry: 'ops/attention_decode.wgsl',
        swaps: kvSwap(target.kvType, 'read'),
        aliases: { Act: q.type },
        constants: {
          HEAD_DIM: headDim,
          HEADS: heads,
          HEAD_CHUNKS: headChunks,
          HEAD_QUADS: headQuads,
          KEYS: keys,
          LANES: workgroupSize,
          LANES_PER_KEY: lanesPerKey,
          FULL_MASK: fullMask,
        },
        overrides: {
          NUM_HEADS: numHeads,
          NUM_KV_HEADS: numKvHeads,
          SPLITS: splits,
          SPLIT_POSITIONS: perSplit,
          SCALE: scale,
          WINDOW: window,
          SOFTCAP: softcap,
          KV_GROUP: kvGroup(cache),
        },
      },
      bindings: [
        { kind: 'step' },
        { kind: 'activation', tensor: q, access: 'read' },
        { kind: 'kv', cache, which: 'k', access: 'read' },
        { kind: 'kv', cache, which: 'v', access: 'read' },
        { ...partials, access: 'write' },
      ],
      workgroups: (step) => [splitsOf(step.maxLength), numKvHeads * headChunks, step.rows],
      traffic: (step) => kvTraffic(call, target, step) + step.rows * rowBytes(q) + partialTraffic(step),
    },
    {
      label: `attention reduce ${shape} ${out.type}`,
      source: {
        entry: 'ops/attention_reduce.wgsl',
        constants: { SINKS: sinks !== undefined, FULL_MASK: fullMask },
        aliases: { Act: out.type },
        overrides: {
          NUM_HEADS: numHeads,
          QUADS: quads,
          SPLITS: splits,
          SPLIT_POSITIONS: perSplit,
          WINDOW: window,
        },
      },
      bindings: [
        { kind: 'step' },
        { ...partials, access: 'read' },
        // A binding that the variant does not read still has to be something.
        sinks ? { kind: 'vector', tensor: sinks } : { ...partials, access: 'read' },
        { kind: 'activation', tensor: out, access: 'write' },
      ],
      workgroups: (step) => [Math.ceil((numHeads * quads) / REDUCE_LANES), step.rows, 1],
      traffic: (step) => partialTraffic(step) + step.rows * rowBytes(out),
    },
  ];
}
