import { InternalError } from '../../errors';
import type { AttentionCall } from '../calls';
import type { KernelTarget } from '../op';
import type { DecodeAttentionTuning, PrefillAttentionTuning } from '../tuning';
import { decodeTile, type PrefillTile, prefillTile, prefillTileOf } from './tile';

/**
 * Equal for calls that run the same kernel: what a choice is remembered by. That of the decode kernel holds for 1 to 16 rows, the other
 * for larger steps.
 */
export function attentionTuningKey(
  { numHeads, cache, q }: AttentionCall,
  { kvType }: Pick<KernelTarget, 'kvType'>,
  kernel: 'decode' | 'prefill' = 'decode',
): string {
  return `${kernel} ${numHeads}/${cache.numKvHeads}×${cache.headDim} ${q.type} kv ${kvType}`;
}

/**
 * What to run with before anything was measured: four lanes read a sector of a key together, and a split of 128 lanes leaves room for
 * several workgroups on a core.
 */
export function defaultAttentionTuning(): DecodeAttentionTuning {
  return { kernel: 'decode', workgroupSize: 128, lanesPerKey: 4 };
}

/** Every tuning that the decode kernel of a call can run with: the lanes must serve a whole value, and score no more keys at once than a tile holds. */
export function attentionTunings({ numHeads, cache }: AttentionCall): readonly DecodeAttentionTuning[] {
  const { numKvHeads, headDim } = cache;
  return [64, 128, 256]
    .filter((workgroupSize) => headDim / 4 <= workgroupSize)
    .flatMap((workgroupSize) => {
      const { keys } = decodeTile(numHeads, numKvHeads, headDim, workgroupSize);
      return [1, 2, 4, 8]
        .filter((lanesPerKey) => workgroupSize / lanesPerKey <= keys)
        .map((lanesPerKey): DecodeAttentionTuning => ({ kernel: 'decode', workgroupSize, lanesPerKey }));
    });
}

/** What a target's decode kernel of a call runs with. Throws InternalError for a choice that it cannot run. */
export function decodeTuning(call: AttentionCall, target: KernelTarget): DecodeAttentionTuning {
  const key = attentionTuningKey(call, target);
  const chosen = target.tuning?.attention?.(key);
  if (chosen === undefined) return defaultAttentionTuning();
  const legal = attentionTunings(call).find(
    (one) =>
      chosen.kernel === 'decode' &&
      one.workgroupSize === chosen.workgroupSize &&
      one.lanesPerKey === chosen.lanesPerKey,
  );
  if (!legal) throw new InternalError(`attention: ${key} cannot run with ${JSON.stringify(chosen)}`);
  return legal;
}

/** What larger steps of a call run with before anything was measured: whole tiles, which read K and V the least often. */
export function defaultPrefillTuning({ numHeads, cache }: AttentionCall): PrefillAttentionTuning {
  const { panelQuads } = prefillTile(numHeads, cache.numKvHeads, cache.headDim);
  return { kernel: 'prefill', parts: 1, panelQuads };
}

/** Every tuning that the prefill kernel of a call can run with. */
export function prefillTunings({ numHeads, cache }: AttentionCall): readonly PrefillAttentionTuning[] {
  const { numKvHeads, headDim } = cache;
  return ([1, 2, 4] as const).flatMap((parts) =>
    [16, 8, 4]
      .filter((panelQuads) => prefillTileOf(numHeads, numKvHeads, headDim, parts, panelQuads))
      .map((panelQuads): PrefillAttentionTuning => ({ kernel: 'prefill', parts, panelQuads })),
  );
}

/** The tile that a target's prefill kernel of a call has. Throws InternalError for a choice that it cannot run. */
export function tunedPrefillTile(call: AttentionCall, target: KernelTarget): PrefillTile {
  const { numHeads, cache } = call;
  const key = attentionTuningKey(call, target, 'prefill');
  const chosen = target.tuning?.attention?.(key) ?? defaultPrefillTuning(call);
  const tile =
    chosen.kernel === 'prefill'
      ? prefillTileOf(numHeads, cache.numKvHeads, cache.headDim, chosen.parts, chosen.panelQuads)
      : undefined;
  if (!tile) throw new InternalError(`attention: ${key} cannot run with ${JSON.stringify(chosen)}`);
  return tile;
}
