/** Two matmuls of one input that write side by side: weights of different formats that would be one weight if theirs agreed. */
import type { LinearCall } from '../calls';
import type { Dispatch, KernelTarget } from '../op';
import { sideBySide } from '../side_by_side';
import type { GemvTuning } from '../tuning';
import { isGated } from './epilogue';
import { type GemvTile, gemvDispatch, gemvGroups, gemvTiles } from './gemv';
import { gemvTuning, isGemvTuning } from './tuning';

/**
 * The memory-bound kernels of two neighbouring calls, both in one dispatch for each row tile where the device has bindings for both and a
 * workgroup that suits both. Undefined where the calls have to run one after the other.
 */
export function pairedGemvs(
  first: LinearCall,
  second: LinearCall,
  target: KernelTarget,
): readonly Dispatch[] | undefined {
  if (!areIndependent(first, second)) return undefined;
  const ofFirst = target.weightParts(first.weight);
  const ofSecond = target.weightParts(second.weight);
  if (ofFirst.length > 1 || ofSecond.length > 1) return undefined;
  const { capabilities } = target;
  return gemvTiles(target.bucket).flatMap((rows) => {
    const apart = [first, second].map((call) => gemvTuning(call, rows.tile, target));
    const make = (call: LinearCall, tuning: GemvTuning): Dispatch => {
      const [part] = call === first ? ofFirst : ofSecond;
      return gemvDispatch(call, target, { part, index: 0 }, rows, tuning);
    };
    const together = commonTunings(first, second, rows, target, apart);
    if (together) {
      const groups = [
        gemvGroups(first, ofFirst[0], together[0], capabilities),
        gemvGroups(second, ofSecond[0], together[1], capabilities),
      ];
      const fused = sideBySide(make(first, together[0]), make(second, together[1]), groups[0][0]);
      const { maxComputeWorkgroupsPerDimension, maxStorageBuffersPerShaderStage } = capabilities.limits;
      const isFlat = groups.every(([, y]) => y === 1);
      const fits = groups[0][0] + groups[1][0] <= maxComputeWorkgroupsPerDimension;
      if (isFlat && fits && fused.bindings.length <= maxStorageBuffersPerShaderStage) return [fused];
    }
    return [make(first, apart[0]), make(second, apart[1])];
  });
}

/** Same input, and columns of one output that do not overlap. */
function areIndependent(first: LinearCall, second: LinearCall): boolean {
  if (isGated(first) || isGated(second)) return false;
  if (first.x.name !== second.x.name || first.out.name !== second.out.name) return false;
  if (first.norm?.weight.name !== second.norm?.weight.name || first.norm?.eps !== second.norm?.eps) return false;
  return (
    first.outColumn + first.weight.rows <= second.outColumn || second.outColumn + second.weight.rows <= first.outColumn
  );
}

/**
 * Tunings that share a workgroup: each in its own call's order of sums, so that no bit changes, and otherwise as one of them is chosen.
 * Equal in what workgroup memory depends on, so that both kernels use the same.
 */
function commonTunings(
  first: LinearCall,
  second: LinearCall,
  { tile }: GemvTile,
  { capabilities }: KernelTarget,
  [ofFirst, ofSecond]: readonly GemvTuning[],
): readonly [GemvTuning, GemvTuning] | undefined {
  if (ofFirst.arithmetic !== ofSecond.arithmetic) return undefined;
  const wanted = [ofFirst, ofSecond, { ...ofFirst, x: 'direct' as const }, { ...ofSecond, x: 'direct' as const }];
  for (const { x, workgroupSize, outputsPerLane } of wanted) {
    const a = { ...ofFirst, x, workgroupSize, outputsPerLane };
    const b = { ...ofSecond, x, workgroupSize, outputsPerLane };
    if (isGemvTuning(first, tile, a, capabilities) && isGemvTuning(second, tile, b, capabilities)) return [a, b];
  }
  return undefined;
}
