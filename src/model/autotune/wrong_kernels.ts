import type { TuningChoice } from './autotune';

/** What a user must know about the choices that a model runs with: a sentence where kernels run that were seen to compute nonsense. */
export function wrongKernels(choices: readonly TuningChoice[]): string | undefined {
  const wrong = choices.filter(({ isWrong }) => isWrong);
  if (wrong.length === 0) return undefined;
  const [{ key, measured }] = wrong;
  const kernels =
    wrong.length === 1 ? `the kernel "${key}" computes` : `${wrong.length} kernels compute, "${key}" for one,`;
  const tried = measured === 1 ? 'the one variant that was tried' : `each of the ${measured} variants that were tried`;
  return `Do not trust the answers: on this GPU ${kernels} something else than the reference in ${tried}. The self-test says more.`;
}
