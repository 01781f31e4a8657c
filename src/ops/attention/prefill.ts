import type { AttentionCall } from '../calls';
import { expectKvBlocks, kvGroup, kvSwap } from '../kv_layout';
import type { Dispatch, KernelTarget } from '../op';
import { rowBytes } from '../shape_check';
import { kvTraffic } from './decode';
import { tunedPrefillTile } from './tuning';

/** Tiled FlashAttention over pages: a workgroup per (attention tile of the step, KV head). */
export function prefillDispatches(call: AttentionCall, target: KernelTarget): readonly Dispatch[] {
  const { q, cache, out, numHeads, scale, window = 0, softcap = 0, sinks } = call;
  const { numKvHeads, headDim } = cache;
  expectKvBlocks('attention', target.kvType, headDim);
  const tile = tunedPrefillTile(call, target);
  return [
    {
      label: `attention prefill ${numHeads}/${numKvHeads}×${headDim} tile ${tile.rows}×${tile.heads}×${4 * tile.panelQuads} ${q.type} kv ${target.kvType}`,
      source: {
        entry: 'ops/attention_prefill.wgsl',
        swaps: kvSwap(target.kvType, 'read'),
        aliases: { Act: q.type },
        constants: {
          HEAD_DIM: headDim,
          HEADS: tile.heads,
          HEAD_CHUNKS: tile.headChunks,
          PART_ROWS: tile.rows,
          VECTOR_GROUPS: tile.vectorGroups,
          PANEL_QUADS: tile.panelQuads,
          PANEL_KEYS: tile.panelKeys,
          PANEL_SIZE: tile.panelSize,
          LANES: tile.invocations,
          SINKS: sinks !== undefined,
          FULL_MASK: call.mask === 'full',
        },
        overrides: {
          NUM_HEADS: numHeads,
          NUM_KV_HEADS: numKvHeads,
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
        // A binding that the variant does not read still has to be something.
        sinks ? { kind: 'vector', tensor: sinks } : { kind: 'activation', tensor: q, access: 'read' },
        { kind: 'activation', tensor: out, access: 'write' },
      ],
      workgroups: (step) => [step.tiles, numKvHeads * tile.headChunks, tile.parts],
      traffic: (step) => kvTraffic(call, target, step) + step.rows * (rowBytes(q) + rowBytes(out)),
    },
  ];
}
