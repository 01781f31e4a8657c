/** Times the budget that is spent on kernels of which nothing right is known. */
const PATIENCE = 5;

/** A kernel of which not everything is measured. */
export interface Unfinished {
  /** Groups of candidates that are measured already. */
  readonly round: number;
  /** The best so far computes nonsense. */
  readonly isWrong: boolean;
}

/**
 * What to measure next: a few variants of every kernel before more of any, the first ones first. When the budget is spent, only kernels that
 * would run wrong: for as long as it takes to find a right variant, within reason.
 */
export function nextKernel<T extends Unfinished>(
  kernels: readonly T[],
  spentMs: number,
  budgetMs: number,
): T | undefined {
  const allowed = kernels.filter(({ isWrong }) => spentMs < (isWrong ? PATIENCE : 1) * budgetMs);
  if (allowed.length === 0) return undefined;
  return allowed.reduce((least, kernel) => (kernel.round < least.round ? kernel : least));
}
