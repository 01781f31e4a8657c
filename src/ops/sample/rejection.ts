import type { Proposal } from '../../engine/runner';
import type { ReferenceStep } from '../op';

/** Within rounding of the same distribution: nothing is left to sample from after a rejection. */
const SAME_DISTRIBUTION = 1 - 1e-6;

/** The token of the row behind a sampled one, and what it was drawn from. */
export interface Guess {
  readonly token: number;
  readonly proposal: Proposal;
}

/**
 * Rejection sampling (Leviathan et al. 2023): a guess x that was drawn from q stands with probability min(1, p(x) / q(x)); otherwise the token
 * is to be drawn from max(0, p - q), which is what `probabilities` then hold. What comes out is distributed as p, whatever q is.
 *
 * @param probabilities p, [vocabSize]
 * @param uniform in [0, 1), drawn for nothing else
 * @returns with the distance from the other verdict
 */
export function judgeGuess(
  probabilities: Float64Array,
  { token, proposal }: Guess,
  uniform: number,
): { readonly accepted: boolean; readonly margin: number } {
  const p = probabilities[token];
  const q = proposal.find(([candidate]) => candidate === token)?.[1] ?? 0;
  const overlap = proposal.reduce((sum, [t, share]) => sum + Math.min(share, probabilities[t]), 0);
  const margin = Math.abs(uniform * q - p);
  if (p > 0 && (uniform * q < p || overlap >= SAME_DISTRIBUTION)) return { accepted: true, margin };
  for (const [t, share] of proposal) probabilities[t] = Math.max(0, probabilities[t] - share);
  return { accepted: false, margin };
}

/** The row behind sampled row `index`, where it belongs to the same segment: its token is a guess at the sample. */
export function guessBehind(batch: ReferenceStep, index: number): { readonly token: number } | undefined {
  const { row, segment } = batch.sampled[index];
  const { firstRow, rowCount } = batch.segments[segment];
  return row + 1 < firstRow + rowCount ? batch.rows[row + 1] : undefined;
}
