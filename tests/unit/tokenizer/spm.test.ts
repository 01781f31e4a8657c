import { describe, expect, it } from 'vitest';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { pick, seeded } from '../../support/seeded';
import { spmGguf } from './support/vocabularies';

const SEED = Math.floor(Math.random() * 2 ** 32);
const FIRST_PIECE = 5 + 256;

/** Merges the best pair, the leftmost of equals, until none is left: quadratic and obvious. */
function mergeByDefinition(text: string, scores: ReadonlyMap<string, number>): string[] {
  const symbols = Array.from(text);
  for (;;) {
    let best = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const score = scores.get(symbols[i] + symbols[i + 1]);
      if (score === undefined) continue;
      if (best < 0 || score > (scores.get(symbols[best] + symbols[best + 1]) ?? 0)) best = i;
    }
    if (best < 0) return symbols;
    symbols.splice(best, 2, symbols[best] + symbols[best + 1]);
  }
}

describe('SentencePiece BPE', () => {
  it(`agrees with merging by definition (seed ${SEED})`, () => {
    const random = seeded(SEED);
    for (let round = 0; round < 60; round++) {
      const letters = Array.from('ab▁é𐍈').slice(0, 2 + Math.floor(random() * 4));
      const pieces = new Set<string>(letters.filter((letter) => letter !== '▁'));
      for (let i = 0; i < 25; i++) {
        const piece = Array.from({ length: 2 + Math.floor(random() * 4) }, () => pick(random, letters)).join('');
        pieces.add(piece);
      }
      // Few different scores: ties are common.
      const scores = [...pieces].map(() => -Math.floor(random() * 6));
      const tokenizer = createTokenizer(spmGguf([...pieces], scores));
      const byText = new Map([...pieces].map((piece, i) => [piece, scores[i]]));
      const idOf = new Map([...pieces].map((piece, i) => [piece, FIRST_PIECE + 1 + i]));
      for (let i = 0; i < 20; i++) {
        const text = Array.from({ length: Math.floor(random() * 40) }, () => pick(random, letters)).join('');
        const symbols = text === '' ? [] : mergeByDefinition(`▁${text}`, byText);
        const expected = symbols.map((symbol) => idOf.get(symbol) ?? (symbol === '▁' ? FIRST_PIECE : -1));
        expect(tokenizer.encode(text, { bos: false }), text).toEqual(expected);
      }
    }
  });

  it('falls back to bytes, and to the unknown token where there are none', () => {
    const tokenizer = createTokenizer(spmGguf(['a']));
    expect(tokenizer.encode('aé', { bos: false }).map((id) => tokenizer.tokenText(id))).toEqual([' ', 'a', '�', '�']);
    expect(tokenizer.decode(tokenizer.encode('aé'))).toBe('aé');
    const tokens = ['<unk>', '▁', 'a'];
    const byteless = createTokenizer(
      spmGguf([], [], {
        'tokenizer.ggml.tokens': tokens,
        'tokenizer.ggml.scores': [0, -1, -2],
        'tokenizer.ggml.token_type': [2, 1, 1],
        'tokenizer.ggml.bos_token_id': 0,
        'tokenizer.ggml.eos_token_id': 0,
      }),
    );
    expect(byteless.encode('a😀a', { bos: false })).toEqual([1, 2, 0, 2]);
  });

  it('puts a space before text at the start and after control tokens, and takes it away again', () => {
    const tokenizer = createTokenizer(spmGguf(['▁a', 'a']));
    const tokens = tokenizer.encode('a<|im_end|>a', { special: true, bos: false });
    expect(tokens.map((id) => tokenizer.tokenText(id))).toEqual([' a', '<|im_end|>', ' a']);
    expect(tokenizer.decode(tokens)).toBe('aa');
    expect(tokenizer.decode(tokenizer.encode('  a '))).toBe('  a ');
    const without = createTokenizer(spmGguf(['▁a', 'a'], undefined, { 'tokenizer.ggml.add_space_prefix': false }));
    expect(without.encode('a', { bos: false }).map((id) => without.tokenText(id))).toEqual(['a']);
    expect(without.decode(without.encode(' a'))).toBe(' a');
  });

  it('never merges into a control token', () => {
    const tokenizer = createTokenizer(spmGguf(['<', '/', 's', '>', '</', 's>', '</s']));
    const tokens = tokenizer.encode('</s>');
    expect(tokens).not.toContain(2);
    expect(tokenizer.decode(tokens)).toBe('</s>');
    expect(tokenizer.encode('</s>', { special: true })).toEqual([1, 2]);
  });

  it('adds BOS and EOS as the file says', () => {
    const encode = (overrides: Record<string, boolean>, bos?: boolean) =>
      createTokenizer(spmGguf(['▁a'], undefined, overrides)).encode('a', bos === undefined ? {} : { bos });
    const a = FIRST_PIECE + 1;
    expect(encode({})).toEqual([1, a]);
    expect(encode({ 'tokenizer.ggml.add_bos_token': false })).toEqual([a]);
    expect(encode({ 'tokenizer.ggml.add_bos_token': false }, true)).toEqual([1, a]);
    expect(encode({ 'tokenizer.ggml.add_eos_token': true })).toEqual([1, a, 2]);
    expect(encode({}, false)).toEqual([a]);
  });

  it('takes a user-defined token out of any text, the longest first', () => {
    const pieces = ['a', 'aa', '[x]', '[x][y]'];
    const types = [2, 3, 3, 3, 3, ...Array<number>(256).fill(6), 1, 1, 1, 4, 4];
    const tokenizer = createTokenizer(spmGguf(pieces, undefined, { 'tokenizer.ggml.token_type': types }));
    expect(tokenizer.encode('a[x][y][x]', { bos: false }).slice(-2)).toEqual([FIRST_PIECE + 4, FIRST_PIECE + 3]);
    expect(tokenizer.decode(tokenizer.encode('a[x][y][x]'))).toBe('a[x][y][x]');
  });
});
