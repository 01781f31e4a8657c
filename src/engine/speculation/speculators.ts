import { InvalidOptionError } from '../../errors';
import type { Runner, RunnerLimits, SamplingSettings } from '../runner';
import { isVerifiable } from '../sampler_chain';
import type { Acceptance } from './acceptance';
import { DraftLength, MAX_DRAFT_LENGTH, StepCosts } from './draft_length';
import { ModelDrafter } from './model_drafter';
import { NgramDrafter } from './ngram_drafter';
import { Speculator } from './speculator';

export interface SpeculationSettings {
  /** Look up what followed the last tokens before. */
  readonly ngram: boolean;
  /** Ask the draft model, where the lookup has no guess. */
  readonly draft: boolean;
  /** Tokens to guess at a time, 1 … 15. Absent: by measured acceptance and costs, and none while guessing loses. */
  readonly length?: number;
  /**
   * How guesses of the draft model are accepted where tokens are sampled. 'coupled' (default): both draw by the same numbers, and a guess is right
   * when the model draws it too; the output is that of the seed, with and without guesses. 'rejection': by rejection sampling (Leviathan et al.
   * 2023), which accepts more; the output has the model's distribution, but is another one with each draft length. Where a constraint says
   * what may follow, it is always 'coupled'.
   */
  readonly acceptance?: Acceptance;
}

const NOT_TAKEN_BACK = 'wrong guesses have to be taken back, which a model with recurrent layers cannot';

/** What an engine can guess with, for any number of sequences. */
export class Speculators {
  /** What steps cost, for all to learn from. */
  readonly costs = new StepCosts();
  readonly #ngram = new NgramDrafter();
  readonly #model: ModelDrafter | undefined;

  /** Throws InvalidOptionError for a draft model that cannot serve. */
  constructor(draft: Runner | undefined, { vocabSize, recurrent }: RunnerLimits) {
    if (draft && recurrent) throw new InvalidOptionError('draft', NOT_TAKEN_BACK);
    this.#model = draft && new ModelDrafter(draft, vocabSize);
  }

  /** Another runner of the draft model, whose device was lost. Throws InvalidOptionError for one that cannot serve. */
  replaceDraft(draft: Runner): void {
    if (!this.#model) throw new InvalidOptionError('draft', 'there is no draft model to replace');
    this.#model.replaceRunner(draft);
  }

  /** Undefined where there is nothing to guess with. Throws InvalidOptionError for what does not go with speculation. */
  create(
    id: number,
    { speculation, sampling }: { readonly speculation?: SpeculationSettings; readonly sampling: SamplingSettings },
    { maxSampledRows, recurrent }: RunnerLimits,
    onReady: () => void,
  ): Speculator | undefined {
    if (!speculation) return undefined;
    const { ngram, draft, length } = speculation;
    if (draft && !this.#model) throw new InvalidOptionError('speculation', 'there is no draft model');
    if (length !== undefined && !(Number.isSafeInteger(length) && length >= 1 && length <= MAX_DRAFT_LENGTH)) {
      throw new InvalidOptionError(
        'speculation',
        `a draft length of ${length} is not an integer from 1 to ${MAX_DRAFT_LENGTH}`,
      );
    }
    const drafters = [...(ngram ? [this.#ngram] : []), ...(draft && this.#model ? [this.#model] : [])];
    if (drafters.length === 0) return undefined;
    if (recurrent) throw new InvalidOptionError('speculation', NOT_TAKEN_BACK);
    if (!isVerifiable(sampling)) {
      throw new InvalidOptionError(
        'speculation',
        'does not go with mirostat, which learns from every token before the next',
      );
    }
    const most = Math.min(MAX_DRAFT_LENGTH, maxSampledRows - 1);
    if (most < 1) return undefined;
    return new Speculator(id, drafters, new DraftLength(this.costs, most, length), onReady);
  }
}
