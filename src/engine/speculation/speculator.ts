import { messageOf } from '../../errors/message_of';
import type { DraftLength } from './draft_length';
import { type Choosing, type Drafter, type Drafts, NO_DRAFTS } from './drafter';

/** What speculation did for a request. */
export interface SpeculationUsage {
  /** Tokens that were guessed and verified. */
  readonly drafted: number;
  /** Of those, how many were what the model chose too. */
  readonly accepted: number;
  /** Steps of the model for the output: without speculation one per token. */
  readonly steps: number;
  /** What the draft model failed with: the rest was chosen without it. */
  readonly failure?: string;
}

/** Of several requests together; undefined where none was speculated on. */
export function totalSpeculation(usages: readonly (SpeculationUsage | undefined)[]): SpeculationUsage | undefined {
  return usages.reduce(
    (a, b) =>
      a && b
        ? {
            drafted: a.drafted + b.drafted,
            accepted: a.accepted + b.accepted,
            steps: a.steps + b.steps,
            failure: a.failure ?? b.failure,
          }
        : (a ?? b),
    undefined,
  );
}

/** Tokens to go on without drafts when no drafter has a guess. */
const NO_GUESS_REST = 4;

/**
 * Drafts for one sequence. The model verifies them in one step of k + 1 rows. Either each row is sampled as it would be alone: a draw depends on
 * seed and position, and a row on no other row, so that what comes out is token for token what comes out without, greedy or sampled, and a
 * draft is accepted exactly when it is that token. Or, for a draft that comes with what it was drawn from, by rejection sampling (Leviathan
 * et al. 2023), which accepts as many as can be and keeps the distribution.
 */
export class Speculator {
  #drafts = NO_DRAFTS;
  /** Length of the sequence that #drafts follow. */
  #draftedAt = -1;
  #waiting = false;
  #failure: string | undefined;
  #ended = false;
  #draftMs = 0;
  #drafted = 0;
  #accepted = 0;
  #steps = 0;

  constructor(
    private readonly sequence: number,
    private readonly drafters: readonly Drafter[],
    private readonly length: DraftLength,
    /** Drafts that took time are there. */
    private readonly onReady: () => void,
  ) {}

  get usage(): SpeculationUsage {
    return { drafted: this.#drafted, accepted: this.#accepted, steps: this.#steps, failure: this.#failure };
  }

  /** Drafts are being made: the sequence waits for them. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** Whether a sequence of this many tokens is to wait for its samples, so that drafts can follow them. */
  on(tokens: number): boolean {
    return this.#failure === undefined && !this.length.resting(tokens);
  }

  /** Guesses for what follows `tokens`, at most `most`; made once for each length of the sequence, and there once `waiting` is over. */
  drafts(tokens: readonly number[], most: number, choosing: Choosing): readonly number[] {
    if (most < 1) return [];
    if (this.#draftedAt !== tokens.length && !this.#waiting) this.#begin(tokens, most, choosing);
    return this.#waiting ? [] : this.#drafts.tokens.slice(0, most);
  }

  /** The sequence has lost so many of its tokens. */
  shortened(by: number): void {
    this.#draftedAt = -1;
    this.length.shortened(by);
  }

  /** The tokens behind the row of the newest token, in a step that verifies. */
  get current(): Drafts {
    return this.#drafts;
  }

  /** None of the drafts may follow so many tokens: others rarely may a little later. */
  refused(tokens: number): void {
    this.length.restBriefly(tokens, NO_GUESS_REST);
  }

  /** A step has given `tokens` tokens; of `drafted` drafts `accepted` were right. */
  settle(drafted: number, accepted: number): void {
    this.#steps++;
    if (drafted === 0) return;
    this.#drafted += drafted;
    this.#accepted += accepted;
    this.length.observe(drafted, accepted, this.#draftMs);
  }

  end(): void {
    this.#ended = true;
    for (const drafter of this.drafters) drafter.end(this.sequence);
  }

  #begin(tokens: readonly number[], most: number, choosing: Choosing): void {
    this.#draftedAt = tokens.length;
    this.#drafts = NO_DRAFTS;
    const count = Math.min(most, this.length.next(tokens.length));
    if (count < 1) return;
    const start = performance.now();
    const take = (drafts: Drafts): void => {
      this.#drafts = drafts;
      this.#draftMs = performance.now() - start;
      if (drafts.tokens.length === 0) this.length.restBriefly(tokens.length, NO_GUESS_REST);
    };
    for (const drafter of this.drafters) {
      const drafts = drafter.draft({ sequence: this.sequence, tokens: tokens.slice(), count, choosing });
      if (!(drafts instanceof Promise)) {
        if (drafts.tokens.length === 0) continue;
        return take(drafts);
      }
      this.#waiting = true;
      void drafts.then(
        (found) => this.#arrived(() => take(found)),
        // A draft model that is gone costs speed, never an answer; the usage says so.
        (error: unknown) => this.#arrived(() => this.#giveUp(error)),
      );
      return;
    }
    take(NO_DRAFTS);
  }

  #giveUp(error: unknown): void {
    this.#failure = messageOf(error);
  }

  #arrived(then: () => void): void {
    this.#waiting = false;
    if (this.#ended) return;
    then();
    this.onReady();
  }
}
