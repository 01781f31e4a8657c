import type { TuningChoice } from '../autotune/autotune';
import type { TunedChoice } from './report';

/** The autotuner's choices in words: what was chosen, its time next to the default's, and how much was tried. */
export function describeChoices(choices: readonly TuningChoice[]): TunedChoice[] {
  return choices.map(({ key, choice, isDefault, ms, defaultMs, measured, candidates, wrong, isWrong }) => {
    const { kernel, ...fields } = choice;
    const variant = Object.entries(fields).map(([name, value]) => `${name} ${String(value)}`);
    const times = isDefault
      ? [
          isWrong ? 'the default, which is WRONG like all that was tried' : 'the default',
          ...(defaultMs === undefined ? [] : [`${defaultMs.toFixed(3)} ms`]),
        ]
      : [`${ms?.toFixed(3)} ms, the default ${defaultMs?.toFixed(3) ?? 'wrong'} ms`];
    const tried = `${measured} of ${candidates} measured${wrong.length > 0 ? `, ${wrong.length} wrong` : ''}`;
    return { key, choice: [kernel, ...variant, ...times, tried].join(', ') };
  });
}
