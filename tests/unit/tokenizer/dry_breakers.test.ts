import { describe, expect, it } from 'vitest';
import { dryBreakersOf } from '../../../src/tokenizer/dry_breakers';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { bpeGguf } from './support/vocabularies';

/** The breakers' tokens as text: the first one, and what may follow it. */
function found(merges: readonly string[], strings: readonly string[]): Record<string, string[][]> {
  const tokenizer = createTokenizer(bpeGguf([...merges]));
  const text = (token: number) => tokenizer.tokenText(token);
  return Object.fromEntries(
    [...dryBreakersOf(tokenizer, strings)].map(([token, tails]) => [text(token), tails.map((tail) => tail.map(text))]),
  );
}

describe('sequence breakers', () => {
  it('are all tokens with the string in them', () => {
    expect(found(['a :', 'Ġ b'], [':'])).toEqual({ ':': [[]], 'a:': [[]] });
  });

  it('may begin in one token and go on in others', () => {
    expect(found(['x a', 'b c'], ['abc'])).toEqual({ a: [['bc']], xa: [['bc']] });
    expect(found(['x a', 'a b', 'ab c'], ['abc', 'c'])).toEqual({
      a: [['b', 'c']],
      ab: [['c']],
      abc: [[]],
      c: [[]],
      xa: [['b', 'c']],
    });
  });

  it('are cut between bytes where tokens are', () => {
    const tokenizer = createTokenizer(bpeGguf([]));
    const bytes = tokenizer.encode('—');
    expect(bytes).toHaveLength(3);
    expect([...dryBreakersOf(tokenizer, ['—'])]).toEqual([[bytes[0], [bytes.slice(1)]]]);
  });
});
