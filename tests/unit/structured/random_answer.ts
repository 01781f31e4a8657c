import { allows, type TokenConstraint } from '../../../src/engine/constraint';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer';

const MAX_TOKENS = 400;

/** What a model that knows nothing would write under a constraint: any token that may follow, or sometimes what is forced; fond of ending things. */
export class RandomWriter {
  readonly #closing: readonly number[];

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly vocabSize: number,
  ) {
    const all = Array.from({ length: Math.min(vocabSize, tokenizer.vocabSize) }, (_, token) => token);
    this.#closing = all.filter((token) => /^ ?["\]},:@.-]+$/.test(tokenizer.tokenText(token)));
  }

  /** The tokens of an answer. Throws when it comes to no end, or what is forced is forbidden. */
  write(constraint: TokenConstraint, random: () => number): number[] {
    const output: number[] = [];
    const accept = (token: number): void => {
      const next = constraint.next();
      if (next.kind !== 'choice' || !allows(next.mask, token)) throw new Error(`${token} is forced and forbidden`);
      constraint.accept(token);
      output.push(token);
    };
    while (output.length < MAX_TOKENS) {
      const next = constraint.next();
      if (next.kind === 'end') return output;
      if (next.kind === 'dead end') throw new Error(`nothing may follow ${this.tokenizer.decode(output)}`);
      const forced = random() < 0.7 ? constraint.forced() : [];
      if (forced.length > 0) {
        forced.forEach(accept);
        continue;
      }
      const token = this.#choose(next.mask, random);
      if (this.tokenizer.stopTokens.has(token)) return output;
      accept(token);
    }
    throw new Error(`no end: ${this.tokenizer.decode(output)}`);
  }

  #choose(mask: Uint32Array, random: () => number): number {
    const liked = [...this.tokenizer.stopTokens, ...this.#closing].filter((token) => allows(mask, token));
    if (liked.length > 0 && random() < 0.4) return liked[Math.floor(random() * liked.length)];
    let token = Math.floor(random() * this.vocabSize);
    while (!allows(mask, token)) token = (token + 1) % this.vocabSize;
    return token;
  }
}

/** Whether a text, as the tokenizer cuts it, is an answer. */
export function accepts(tokenizer: Tokenizer, constraint: TokenConstraint, text: string): boolean {
  for (const token of tokenizer.encode(text, { bos: false })) {
    const next = constraint.next();
    if (next.kind !== 'choice' || !allows(next.mask, token)) return false;
    constraint.accept(token);
  }
  const next = constraint.next();
  return (
    next.kind === 'end' ||
    (next.kind === 'choice' && [...tokenizer.stopTokens].some((token) => allows(next.mask, token)))
  );
}
