import type { Batch, Runner, RunnerLimits, SlotInit, StepResult } from '../../src/engine/runner';

/** A runner that samples the tokens of a script, one after the other, whatever the prompt. After the script it repeats `end`. */
export class ScriptedRunner implements Runner {
  readonly limits: RunnerLimits;
  /** Steps that have been run. */
  steps = 0;
  readonly #script: readonly number[];
  readonly #end: number;
  readonly #promptLengths = new Map<number, number>();

  constructor(script: readonly number[], end: number, limits: Pick<RunnerLimits, 'vocabSize' | 'contextLength'>) {
    this.#script = script;
    this.#end = end;
    const numPages = Math.ceil(limits.contextLength / 32);
    this.limits = { ...limits, maxRows: 64, maxSampledRows: 16, maxSlots: 1, pageSize: 32, numPages };
  }

  openSlot(slot: number, init: SlotInit): void {
    this.#promptLengths.set(slot, init.promptTokens.length);
  }

  async run({ segments }: Batch): Promise<StepResult> {
    this.steps++;
    await new Promise((resolve) => setTimeout(resolve, 0));
    return {
      segments: segments.map(({ slot, tokens, position, sample, sampling }) => {
        if (sample === 'none') return { samples: [] };
        const index = position + tokens.length - (this.#promptLengths.get(slot) ?? 0);
        const token = this.#script[index] ?? this.#end;
        const top = [
          [token, -0.25],
          [0, -2],
        ] as const;
        return { samples: [{ token, logprob: -0.25, top: top.slice(0, Math.max(0, sampling.topLogprobs)) }] };
      }),
    };
  }

  copyPages(): void {}

  dispose(): void {}
}
