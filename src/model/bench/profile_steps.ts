import { WebGpuUnavailableError } from '../../errors';
import type { TuningChoice } from '../autotune/autotune';
import type { LoadModelOptions } from '../layout';
import type { ModelOrigin } from '../origin';
import { profileModel } from '../profile_model';
import type { BenchmarkSettings, LeftOut, ProfiledStepTable } from './report';

const MAX_CHUNK = 256;

/** Loads the model once more, with timestamps and the kernels that were `tuned`, and profiles a chunk of the longest prompt and a decode step at the deepest depth. */
export async function profileSteps(
  origin: ModelOrigin,
  options: LoadModelOptions,
  { prefill, depths }: BenchmarkSettings,
  contextLength: number,
  tuned: readonly TuningChoice[],
): Promise<{ readonly profile: readonly ProfiledStepTable[]; readonly leftOut: readonly LeftOut[] }> {
  const fitting = (lengths: readonly number[], room: number): number =>
    Math.max(1, ...lengths.filter((length) => length + room <= contextLength).map((length) => length + room));
  const prompt = fitting(prefill, 0);
  const steps = [
    { rows: Math.min(prompt, options.maxRows ?? MAX_CHUNK), length: prompt },
    { rows: 1, length: fitting(depths, 1) },
  ];
  try {
    const profiles = await profileModel(origin, options, steps, tuned);
    const profile = steps.map(({ rows, length }, i) => ({
      step: rows === 1 ? `decode at depth ${length - 1}` : `prefill, the last ${rows} of ${length} tokens`,
      kernels: profiles[i],
    }));
    return { profile, leftOut: [] };
  } catch (error) {
    if (!(error instanceof WebGpuUnavailableError)) throw error;
    return { profile: [], leftOut: [{ what: 'profile', reason: error.message }] };
  }
}
