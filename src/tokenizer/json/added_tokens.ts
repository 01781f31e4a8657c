import { Trie } from '../trie';
import type { Fragment, TextSplitter } from '../word_model';
import { type Fields, mismatch } from './fields';

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** A control token: in text that a user wrote it stays text. */
  readonly special: boolean;
  /** Looked for after normalisation. */
  readonly normalized: boolean;
  readonly singleWord: boolean;
  /** Swallows white space before, after. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
}

/** `added_tokens` of tokenizer.json, and those of tokenizer_config.json's `added_tokens_decoder`, which come after and say more. */
export function readAddedTokens(file: Fields, config: Fields | undefined): readonly AddedToken[] {
  const tokens = new Map<number, AddedToken>();
  if (file.has('added_tokens')) {
    for (const token of file.children('added_tokens'))
      tokens.set(token.count('id'), readToken(token, token.count('id')));
  }
  const decoder = config?.optionalChild('added_tokens_decoder');
  for (const [key] of decoder?.entries() ?? []) {
    const id = Number(key);
    const token = decoder?.child(key);
    if (!token || !/^\d+$/.test(key)) throw mismatch(decoder?.where ?? '', 'ids of tokens', key);
    const known = tokens.get(id);
    const added = readToken(token, id);
    if (known && known.content !== added.content)
      throw mismatch(token.at('content'), JSON.stringify(known.content), added.content);
    tokens.set(id, added);
  }
  return [...tokens.values()];
}

function readToken(token: Fields, id: number): AddedToken {
  const content = token.text('content');
  if (content === '') throw mismatch(token.at('content'), 'a text that is not empty', content);
  const special = token.flag('special', false);
  return {
    id,
    content,
    special,
    // Control tokens must be found whatever normalisation would make of them.
    normalized: !special && token.flag('normalized', true),
    singleWord: token.flag('single_word', false),
    lstrip: token.flag('lstrip', false),
    rstrip: token.flag('rstrip', false),
  };
}

/** Finds added tokens as the library `tokenizers` does: from left to right, at each place the longest. */
export class AddedTokens implements TextSplitter {
  readonly #tokens: readonly AddedToken[];
  readonly #all: Trie;
  readonly #untrusted: Trie;

  constructor(tokens: readonly AddedToken[], normalise: (text: string) => string = (text) => text) {
    this.#tokens = tokens;
    const entries = tokens.map((token, i) => ({ token, entry: [normalise(token.content), i] as const }));
    this.#all = new Trie(entries.map(({ entry }) => entry));
    this.#untrusted = new Trie(entries.filter(({ token }) => !token.special).map(({ entry }) => entry));
  }

  split(text: string, trusted: boolean): Fragment[] {
    const trie = trusted ? this.#all : this.#untrusted;
    const fragments: Fragment[] = [];
    let done = 0;
    for (let at = 0; at < text.length; ) {
      const found = longest(trie, text, at);
      const token = found && this.#tokens[found.index];
      if (!found || !token || (token.singleWord && !standsAlone(text, at, found.end))) {
        at++;
        continue;
      }
      let start = at;
      let { end } = found;
      if (token.lstrip) while (start > done && isSpace(text.charAt(start - 1))) start--;
      if (token.rstrip) while (isSpace(text.charAt(end))) end++;
      if (start > done) fragments.push(text.slice(done, start));
      fragments.push(token.id);
      done = end;
      at = end;
    }
    if (done < text.length) fragments.push(text.slice(done));
    return fragments;
  }
}

function longest(trie: Trie, text: string, start: number): { index: number; end: number } | undefined {
  let found: { index: number; end: number } | undefined;
  let node = 0;
  for (let at = start; at < text.length; at++) {
    node = trie.next(node, text.charCodeAt(at));
    if (node === 0) break;
    const index = trie.valueOf(node);
    if (index !== undefined) found = { index, end: at + 1 };
  }
  return found;
}

function standsAlone(text: string, start: number, end: number): boolean {
  return !isWordCharacter(text.charAt(start - 1)) && !isWordCharacter(text.charAt(end));
}

function isWordCharacter(character: string): boolean {
  return /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u.test(character);
}

function isSpace(character: string): boolean {
  return /\p{White_Space}/u.test(character);
}
