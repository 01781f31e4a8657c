import { type Drafter, type DraftRequest, type Drafts, NO_DRAFTS } from './drafter';

const LONGEST = 5;
const SHORTEST = 2;

/**
 * Prompt lookup (Saxena 2023): when the last tokens have occurred before, in the prompt or in the output, what followed them then is the
 * guess. Longer matches go first, of equal ones the latest.
 */
export class NgramDrafter implements Drafter {
  readonly name = 'ngram';

  draft({ tokens, count }: DraftRequest): Drafts {
    for (let length = Math.min(LONGEST, tokens.length - 1); length >= SHORTEST; length--) {
      const suffix = tokens.length - length;
      for (let start = suffix - 1; start >= 0; start--) {
        if (!matches(tokens, start, suffix, length)) continue;
        return { tokens: tokens.slice(start + length, start + length + count) };
      }
    }
    return NO_DRAFTS;
  }

  end(): void {}
}

function matches(tokens: readonly number[], a: number, b: number, length: number): boolean {
  for (let i = length - 1; i >= 0; i--) if (tokens[a + i] !== tokens[b + i]) return false;
  return true;
}
