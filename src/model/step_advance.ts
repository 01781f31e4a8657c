import type { Dispatch, State } from '../ops/op';
import { SAMPLE_WORDS } from '../ops/sample/record';
import type { SamplerStates } from '../ops/sampler_state';
import { HEADER } from '../ops/step_layout';

/** Runs of a step that one submit may hold: as many as a draft has tokens. */
export const MAX_REPEAT = 15;

/** [runs × sampled rows × SAMPLE_WORDS]: the samples of a repeated step, run after run. */
export function sampleHistory(maxSampledRows: number): State {
  return { name: 'sample_history', words: MAX_REPEAT * maxSampledRows * SAMPLE_WORDS };
}

/** Between two runs of a repeated step: keeps the run's samples and moves every row of the step buffer one position on. */
export function advanceDispatch({ samples }: SamplerStates, history: State): Dispatch {
  return {
    label: 'advance',
    source: { entry: 'ops/advance.wgsl', constants: { SAMPLE_WORDS, RUNS: HEADER.runs } },
    bindings: [
      { kind: 'step', access: 'write' },
      { kind: 'state', state: samples, access: 'read' },
      { kind: 'state', state: history, access: 'write' },
    ],
    workgroups: () => [1, 1, 1],
    traffic: ({ sampledRows, rows, segments }) => sampledRows * SAMPLE_WORDS * 8 + rows * 16 + segments * 16,
  };
}
