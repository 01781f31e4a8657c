import { describe, expect, it } from 'vitest';
import { InvalidFileError, UnsupportedModelError } from '../../../src/errors';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { metadata } from './support/metadata';
import { bpeGguf, spmGguf } from './support/vocabularies';

describe('broken or unusual metadata', () => {
  const cases: [string, () => unknown, RegExp][] = [
    ['no model', () => createTokenizer(metadata({})), /tokenizer\.ggml\.model/],
    ['no tokens', () => createTokenizer(metadata({ 'tokenizer.ggml.model': 'llama' })), /tokenizer\.ggml\.tokens/],
    ['an empty list', () => createTokenizer(spmGguf([], [], { 'tokenizer.ggml.tokens': [] })), /ggml\.tokens.*empty/],
    [
      'too few scores',
      () => createTokenizer(spmGguf(['a'], undefined, { 'tokenizer.ggml.scores': [0] })),
      /ggml\.scores/,
    ],
    [
      'too few types',
      () => createTokenizer(spmGguf(['a'], undefined, { 'tokenizer.ggml.token_type': [1] })),
      /token_type/,
    ],
    ['a score that is no number', () => createTokenizer(spmGguf(['a', 'b'], [0, Number.NaN])), /ggml\.scores.*NaN/],
    [
      'an id out of range',
      () => createTokenizer(spmGguf([], [], { 'tokenizer.ggml.eos_token_id': 9999 })),
      /eos_token_id.*9999/,
    ],
    ['two tokens with one text', () => createTokenizer(spmGguf(['▁a', '▁a'])), /"▁a" is both token 262 and 263/],
    [
      'a token of a megabyte',
      () => createTokenizer(spmGguf(['x'.repeat(2 ** 20)])),
      /token 262 has 1048576 characters/,
    ],
    ['a merge without a space', () => createTokenizer(bpeGguf(['ab'])), /ggml\.merges.*"ab"/],
    [
      'a flag that is a string',
      () => createTokenizer(bpeGguf([], { 'tokenizer.ggml.add_bos_token': 'yes' })),
      /add_bos_token/,
    ],
    [
      'no bytes and no unknown token',
      () =>
        createTokenizer(
          metadata({
            'tokenizer.ggml.model': 'llama',
            'tokenizer.ggml.tokens': ['a'],
            'tokenizer.ggml.scores': [0],
          }),
        ),
      /<0x00>/,
    ],
    [
      'a byte-level vocabulary without letters',
      () =>
        createTokenizer(
          metadata({
            'tokenizer.ggml.model': 'gpt2',
            'tokenizer.ggml.tokens': ['a'],
            'tokenizer.ggml.merges': [],
          }),
        ),
      /no token for byte 32/,
    ],
  ];
  for (const [name, make, message] of cases) {
    it(`refuses ${name}`, () => {
      expect(make).toThrow(InvalidFileError);
      expect(make).toThrow(message);
    });
  }

  it('names a kind of tokenizer that it does not have', () => {
    expect(() => createTokenizer(metadata({ 'tokenizer.ggml.model': 'rwkv' }))).toThrow(UnsupportedModelError);
  });

  it('stops at the end of a turn, whatever the file calls EOS', () => {
    const tokenizer = createTokenizer(spmGguf(['a']));
    expect([...tokenizer.stopTokens].map((id) => tokenizer.tokenText(id)).sort()).toEqual(['</s>', '<|im_end|>']);
    expect(tokenizer.isSpecial(4)).toBe(true);
  });
});
