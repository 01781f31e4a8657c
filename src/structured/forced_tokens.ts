import type { Tokenizer } from '../tokenizer/tokenizer';

/** Tokens before the forced text that its spelling may depend on. */
const CONTEXT = 4;

/** Beginnings of what may follow: a token that is another one before any of these is left to the model. */
const FOLLOWERS: readonly string[] = ['a', 'A', '1', ' ', '"', ',', '}', '\n'];

/**
 * Spells text that must follow as the model would: as the tokenizer cuts it behind what is there, and only as far as the cuts do not hang on
 * what comes next. The rest is chosen token by token.
 */
export class ForcedTokens {
  constructor(private readonly tokenizer: Tokenizer) {}

  /** Tokens that spell a beginning of `text` behind `before`; possibly none. */
  spell(before: readonly number[], text: string): readonly number[] {
    const context = before.slice(-CONTEXT);
    const natural = this.#behind(this.tokenizer.decode(context), context, text);
    if (natural) return natural;
    // The model would have written the last tokens otherwise, and they stay: what follows is cut as if a line began with it.
    const line = '\n';
    return this.#behind(line, this.#encode(line), text) ?? [];
  }

  /** Undefined where the tokens of `context` and what follows are not those of `context` and more. */
  #behind(context: string, tokens: readonly number[], text: string): readonly number[] | undefined {
    const all = this.#encode(context + text);
    if (tokens.some((token, i) => all[i] !== token)) return undefined;
    let common = all.length;
    for (const follower of FOLLOWERS) {
      const longer = this.#encode(context + text + follower);
      let same = 0;
      while (same < common && longer[same] === all[same]) same++;
      common = same;
    }
    // No further than the text, and no half characters.
    while (common > tokens.length && !text.startsWith(this.#text(all.slice(tokens.length, common)))) common--;
    return all.slice(tokens.length, Math.max(tokens.length, common));
  }

  #encode(text: string): number[] {
    return this.tokenizer.encode(text, { bos: false });
  }

  #text(tokens: readonly number[]): string {
    const bytes = tokens.flatMap((token) => [...this.tokenizer.tokenBytes(token)]);
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));
  }
}
