import { InvalidOptionError } from '../errors';

/** For a text that goes on beyond the context: what of it the model keeps. */
export interface OverflowSettings {
  /** Tokens at the very beginning that always stay; default 128, at most an eighth of the context. */
  readonly sinks?: number;
  /** Newest tokens that stay when the context is full; default half of what the sinks leave. */
  readonly window?: number;
}

/** What was taken out so far. */
export interface OverflowUsage {
  /** How often the context was full. */
  readonly shifts: number;
  /** Tokens that the model no longer sees. */
  readonly droppedTokens: number;
  /** Of those, tokens of the prompt that it never saw. */
  readonly droppedPromptTokens: number;
}

const DEFAULT_SINKS = 128;

/** Tokens of the beginning that stay where nobody says how many. */
export function defaultSinks(contextLength: number): number {
  return Math.min(DEFAULT_SINKS, Math.floor(contextLength / 8));
}

/**
 * A text of any length in a context of `contextLength` positions: the first tokens, which attention falls back on (Xiao et al. 2023, "Efficient
 * Streaming Language Models with Attention Sinks"), and a window of the newest. Between the two goes one stretch after another, each of
 * `stride` tokens, so that what is kept depends on the text's length alone: a next turn of a chat finds the same in the prefix cache.
 */
export class ContextOverflow {
  readonly sinks: number;
  readonly window: number;

  /** Throws InvalidOptionError. */
  constructor(
    settings: OverflowSettings,
    readonly contextLength: number,
  ) {
    const { sinks = defaultSinks(contextLength) } = settings;
    const { window = Math.max(1, Math.floor((contextLength - sinks) / 2)) } = settings;
    if (!Number.isSafeInteger(sinks) || sinks < 0) {
      throw new InvalidOptionError('context_overflow.sinks', `${sinks} is not an integer of at least 0`);
    }
    if (!Number.isSafeInteger(window) || window < 1) {
      throw new InvalidOptionError('context_overflow.window', `${window} is not a positive integer`);
    }
    if (sinks + window >= contextLength) {
      throw new InvalidOptionError(
        'context_overflow',
        `${sinks} tokens of the beginning and ${window} of the end leave no room in a context of ${contextLength}`,
      );
    }
    this.sinks = sinks;
    this.window = window;
  }

  /** Tokens that go when the context is full. */
  get stride(): number {
    return this.contextLength - this.sinks - this.window;
  }

  /** Stretches to take out of a text of so many tokens: 0 where all of them have a position. */
  shiftsFor(length: number): number {
    return Math.max(0, Math.ceil((length - this.contextLength) / this.stride));
  }

  /** Takes them out, behind the sinks; returns how many stretches those were. */
  shorten(tokens: number[]): number {
    const shifts = this.shiftsFor(tokens.length);
    tokens.splice(this.sinks, shifts * this.stride);
    return shifts;
  }
}
