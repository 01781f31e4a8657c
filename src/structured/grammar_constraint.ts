import type { GrammarMatcher, Instance } from 'virtual:xgrammar';
import type { NextTokens, TokenConstraint } from '../engine/constraint';
import { InternalError } from '../errors';
import type { ForcedTokens } from './forced_tokens';
import type { TokenMasks } from './token_masks';

/** One answer that follows a compiled grammar. */
export class GrammarConstraint implements TokenConstraint {
  readonly #accepted: number[] = [];
  #next: NextTokens | undefined;
  #disposed = false;

  /** Owns the matcher. */
  constructor(
    private readonly instance: Instance,
    private readonly matcher: GrammarMatcher,
    private readonly masks: TokenMasks,
    private readonly forcedTokens: ForcedTokens,
  ) {}

  next(): NextTokens {
    this.#next ??= this.#compute();
    return this.#next;
  }

  accept(token: number): void {
    this.#next = undefined;
    if (!this.matcher.AcceptToken(token, false)) throw new InternalError(`the grammar refuses token ${token}`);
    this.#accepted.push(token);
  }

  rollback(count: number): void {
    if (count === 0) return;
    this.#next = undefined;
    this.matcher.Rollback(count);
    this.#accepted.length -= count;
  }

  forced(): readonly number[] {
    const next = this.next();
    if (next.kind !== 'choice' || this.masks.mayEnd(next.mask) || this.matcher.IsTerminated()) return [];
    const text = this.#forcedText();
    return text === '' ? [] : this.forcedTokens.spell(this.#accepted, text);
  }

  dispose(): void {
    if (!this.#disposed) this.matcher.delete();
    this.#disposed = true;
  }

  #compute(): NextTokens {
    const vector = this.matcher.GetNextTokenBitmask(this.masks.vocabSize);
    const mask = this.masks.only(this.instance.vecIntToView(vector));
    vector.delete();
    if (this.masks.goesOn(mask)) return { kind: 'choice', mask };
    return { kind: this.masks.mayEnd(mask) || this.matcher.IsTerminated() ? 'end' : 'dead end' };
  }

  /** Where the last character is forced only in part, the module makes up the rest of it: that is no text then. */
  #forcedText(): string {
    const characters = Array.from(this.matcher.FindJumpForwardString());
    while (characters.length > 0) {
      const text = characters.join('');
      if (this.matcher.AcceptString(text, false)) {
        this.matcher.Rollback(1);
        return text;
      }
      characters.pop();
    }
    return '';
  }
}
