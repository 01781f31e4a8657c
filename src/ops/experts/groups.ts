/**
 * The work list of a large step, in words: the number of tiles, then (expert, first place in the list of pairs, pairs) of each tile, then
 * from word `pairsAt` on the pairs row · topK + slot, by expert and then by row. A tile's pairs share one expert, whose weights it reads once.
 */
import type { ExpertGroups } from '../calls';

/** No more tiles than these hold `pairs` pairs: every expert that is used may leave one unfilled. */
export function tileBound(pairs: number, experts: number, tileRows: number): number {
  return Math.ceil(pairs / tileRows) + Math.min(pairs, experts);
}

/** A work list for steps of up to maxRows rows. Without `tileRows`: such that most experts of the largest step fill a tile. */
export function expertGroups(
  maxRows: number,
  topK: number,
  experts: number,
  tileRows: ExpertGroups['tileRows'] = (maxRows * topK) / experts >= 64 ? 64 : 32,
): ExpertGroups {
  const pairs = maxRows * topK;
  const pairsAt = 1 + 3 * tileBound(pairs, experts, tileRows);
  return { state: { name: `expert_groups_${pairs}`, words: pairsAt + pairs }, tileRows, pairsAt };
}
