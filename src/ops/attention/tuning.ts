import { InternalError } from '../../errors';
import type { AttentionCall } from '../calls';
import type { KernelTarget } from '../op';
import type { DecodeAttentionTuning } from '../tuning';
import { decodeTile } from './tile';

/** Equal for calls that run the same decode kernel: what a choice is remembered by. The choice holds for 1 to 16 rows. */
export function attentionTuningKey(
  { numHeads, cache, q }: AttentionCall,
  { kvType }: Pick<KernelTarget, 'kvType'>,
): string {
  return `decode ${numHeads}/${cache.numKvHeads}×${cache.headDim} ${q.type} kv ${kvType}`;
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
  const { workgroupSize, lanesPerKey } = chosen;
  const legal = attentionTunings(call).some(
    (one) => one.workgroupSize === workgroupSize && one.lanesPerKey === lanesPerKey,
  );
  if (!legal) throw new InternalError(`attention: ${key} cannot run with ${JSON.stringify(chosen)}`);
  return chosen;
}
