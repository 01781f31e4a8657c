import { TokenType, type Vocabulary } from './vocabulary';

/** Text that is still to be tokenised, or a token that was found in it by its own text. */
export type Fragment = string | number;

interface SpecialToken {
  readonly id: number;
  readonly text: string;
  /** Only in text that a program wrote: a template's, never a user's. */
  readonly isTrustedOnly: boolean;
}

/** Finds tokens that stand in the text as themselves: user-defined ones always, control tokens on request. */
export class SpecialTokens {
  readonly #byText = new Map<string, SpecialToken>();
  /** Lengths of the tokens that begin with a UTF-16 unit: what to look up where that unit is met. */
  readonly #lengths = new Map<number, Set<number>>();
  readonly #stripsRight: ReadonlySet<number>;

  constructor({ types, ids, stripsRight }: Vocabulary) {
    this.#stripsRight = stripsRight;
    for (const [text, id] of ids) {
      const type = types[id];
      if (type !== TokenType.control && type !== TokenType.userDefined && type !== TokenType.unknown) continue;
      this.#byText.set(text, { id, text, isTrustedOnly: type !== TokenType.userDefined });
      const unit = text.charCodeAt(0);
      const lengths = this.#lengths.get(unit);
      if (lengths) lengths.add(text.length);
      else this.#lengths.set(unit, new Set([text.length]));
    }
  }

  /** The longest token takes its places first, wherever they are, then the next longest: as llama.cpp does. */
  split(text: string, trusted: boolean): Fragment[] {
    let fragments: Fragment[] = text === '' ? [] : [text];
    for (const token of this.#presentIn(text, trusted)) {
      fragments = fragments.flatMap((fragment) =>
        typeof fragment === 'number' ? [fragment] : this.#splitAt(fragment, token),
      );
    }
    return fragments;
  }

  #presentIn(text: string, trusted: boolean): SpecialToken[] {
    const present = new Set<SpecialToken>();
    for (let at = 0; at < text.length; at++) {
      for (const length of this.#lengths.get(text.charCodeAt(at)) ?? []) {
        const token = this.#byText.get(text.slice(at, at + length));
        if (token && (trusted || !token.isTrustedOnly)) present.add(token);
      }
    }
    return [...present].sort((a, b) => b.text.length - a.text.length);
  }

  #splitAt(text: string, { id, text: needle }: SpecialToken): Fragment[] {
    const fragments: Fragment[] = [];
    let start = 0;
    for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, start)) {
      if (at > start) fragments.push(text.slice(start, at));
      fragments.push(id);
      start = at + needle.length;
      if (this.#stripsRight.has(id)) while (/^\p{White_Space}$/u.test(text.charAt(start))) start++;
    }
    if (start < text.length) fragments.push(text.slice(start));
    return fragments;
  }
}
