import { Trie } from './trie';
import { TokenType, type Vocabulary } from './vocabulary';
import type { Fragment, TextSplitter } from './word_model';

interface SpecialToken {
  readonly id: number;
  readonly text: string;
  /** Only in text that a program wrote: a template's, never a user's. */
  readonly isTrustedOnly: boolean;
}

/** Tokens that swallow the white space before or after them in the text. */
interface StrippingTokens {
  readonly left: ReadonlySet<number>;
  readonly right: ReadonlySet<number>;
}

/** Finds special tokens as llama.cpp does: user-defined ones always, control tokens on request. */
export class SpecialTokens implements TextSplitter {
  readonly #tokens: readonly SpecialToken[];
  readonly #trie: Trie;
  readonly #strips: StrippingTokens;

  constructor({ types, ids }: Vocabulary, strips: StrippingTokens) {
    this.#strips = strips;
    const tokens: SpecialToken[] = [];
    for (const [text, id] of ids) {
      const type = types[id];
      if (type !== TokenType.control && type !== TokenType.userDefined && type !== TokenType.unknown) continue;
      tokens.push({ id, text, isTrustedOnly: type !== TokenType.userDefined });
    }
    this.#tokens = tokens;
    this.#trie = new Trie(tokens.map(({ text }, i) => [text, i]));
  }

  /** The longest token takes its places first, wherever they are, then the next longest. */
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
    for (let start = 0; start < text.length; start++) {
      let node = 0;
      for (let at = start; at < text.length; at++) {
        node = this.#trie.next(node, text.charCodeAt(at));
        if (node === 0) break;
        const index = this.#trie.valueOf(node);
        const token = index === undefined ? undefined : this.#tokens[index];
        if (token && (trusted || !token.isTrustedOnly)) present.add(token);
      }
    }
    return [...present].sort((a, b) => b.text.length - a.text.length);
  }

  #splitAt(text: string, { id, text: needle }: SpecialToken): Fragment[] {
    const fragments: Fragment[] = [];
    const { left, right } = this.#strips;
    let start = 0;
    for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, start)) {
      let end = at;
      if (left.has(id)) while (end > start && isAsciiSpace(text.charCodeAt(end - 1))) end--;
      if (end > start) fragments.push(text.slice(start, end));
      fragments.push(id);
      start = at + needle.length;
      if (right.has(id)) while (isAsciiSpace(text.charCodeAt(start))) start++;
    }
    if (start < text.length) fragments.push(text.slice(start));
    return fragments;
  }
}

/** C's `isspace`, which is what llama.cpp asks. */
function isAsciiSpace(unit: number): boolean {
  return unit === 0x20 || (unit >= 0x09 && unit <= 0x0d);
}
