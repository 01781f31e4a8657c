import type { DryBreakers } from '../dry';
import type { Proposal, SamplingSettings } from '../runner';

/** How a sequence's next tokens will be chosen. */
export interface Choosing {
  /** How many of the tokens are the prompt's. */
  readonly promptLength: number;
  readonly sampling: SamplingSettings;
  readonly dryBreakers?: DryBreakers;
  /** Guesses that are drawn are to come with what they were drawn from. */
  readonly proposes?: boolean;
}

/** What a drafter guesses for: the tokens of a sequence so far, prompt included, and how its next ones will be chosen. */
export interface DraftRequest {
  /** Equal for calls about the same sequence, which goes on from call to call; some of its last tokens may have changed. */
  readonly sequence: number;
  readonly tokens: readonly number[];
  /** At least 1. */
  readonly count: number;
  readonly choosing: Choosing;
}

/** What follows a sequence, perhaps. */
export interface Drafts {
  readonly tokens: readonly number[];
  /** One per token: what it was drawn from. Absent: whoever verifies only compares. */
  readonly proposals?: readonly Proposal[];
}

export const NO_DRAFTS: Drafts = { tokens: [] };

/** Guesses tokens that a cheaper look than the model's own may find. */
export interface Drafter {
  readonly name: 'ngram' | 'draft';
  /** At most `count` tokens; none when it has no guess. A promise when it takes time: the sequence waits for it. */
  draft(request: DraftRequest): Drafts | Promise<Drafts>;
  /** The sequence has ended. */
  end(sequence: number): void;
}
