import { describe, expect, it } from 'vitest';
import { UnsupportedModelError } from '../../../src/errors';
import { preTokenizer, splitWords } from '../../../src/tokenizer/pre_tokenizers';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { pick, seeded } from '../../support/seeded';
import { bpeGguf } from './support/vocabularies';

const SEED = Math.floor(Math.random() * 2 ** 32);
const NAMES =
  'default gpt-2 llama-bpe qwen2 smollm falcon starcoder refact command-r deepseek-llm deepseek-coder deepseek-v3 olmo stablelm2 dbrx tekken gpt-4o llama4 qwen35';

const words = (name: string, text: string) => splitWords(text, preTokenizer(name).patterns);

describe('byte-level BPE', () => {
  it('merges in the order of the list, from the left', () => {
    const tokenizer = createTokenizer(bpeGguf(['a a', 'aa a', 'b a']));
    const texts = (text: string) => tokenizer.encode(text).map((id) => tokenizer.tokenText(id));
    expect(texts('aaaaa')).toEqual(['aa', 'aaa']);
    expect(texts('baab')).toEqual(['b', 'aa', 'b']);
  });

  it('lets a whole word be its token where the pre-tokenizer says so', () => {
    const texts = (pre: string) => {
      const tokenizer = createTokenizer(bpeGguf(['a b'], { 'tokenizer.ggml.pre': pre }, ['abc']));
      return tokenizer.encode('abc', { bos: false }).map((id) => tokenizer.tokenText(id));
    };
    expect(texts('llama-bpe')).toEqual(['abc']);
    expect(texts('dbrx')).toEqual(['ab', 'c']);
  });

  it(`gives every text back, under every pre-tokenizer (seed ${SEED})`, () => {
    const random = seeded(SEED);
    const alphabet = Array.from("ab Z09's\t\n\r.,-+$~`´éßŽǅʰא中한ひ𝒳😀\u0085\u00a0\ufeff\u0301\u0000");
    for (const name of NAMES.split(' ')) {
      const tokenizer = createTokenizer(bpeGguf(['a b', 'Ġ a'], { 'tokenizer.ggml.pre': name }));
      for (let i = 0; i < 40; i++) {
        const text = Array.from({ length: Math.floor(random() * 50) }, () => pick(random, alphabet)).join('');
        expect(words(name, text).join('')).toBe(text);
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      }
    }
  });

  it('cuts words as each family does', () => {
    expect(words('gpt-2', "I'm 1234  ok\n\nx")).toEqual(['I', "'m", ' 1234', ' ', ' ok', '\n', '\n', 'x']);
    expect(words('llama-bpe', "I'M 1234  ok\n\nx")).toEqual(['I', "'M", ' ', '123', '4', ' ', ' ok', '\n\n', 'x']);
    expect(words('qwen2', 'a12 (b)')).toEqual(['a', '1', '2', ' (', 'b', ')']);
    expect(words('starcoder', 'x12')).toEqual(['x', '1', '2']);
    expect(words('falcon', 'a1234$')).toEqual(['a', '123', '4', '$']);
    expect(words('deepseek-v3', '漢字kana1234')).toEqual(['漢字', 'kana', '123', '4']);
    expect(words('deepseek-llm', 'ab  中文12!\n')).toEqual(['ab', '  ', '中文', '12', '!', '\n']);
    expect(words('gpt-4o', "HelloWorld's")).toEqual(['Hello', "World's"]);
    expect(words('tekken', 'camelCase12')).toEqual(['camel', 'Case', '1', '2']);
    expect(words('qwen2', 'a\u0301b')).toEqual(['a', '\u0301b']);
    expect(words('qwen35', 'a\u0301b')).toEqual(['a\u0301b']);
    expect(words('gpt-2', 'a\u0085\u0085b')).toEqual(['a', '\u0085', '\u0085', 'b']);
  });

  it('names a pre-tokenizer that it does not know', () => {
    const make = () => createTokenizer(bpeGguf([], { 'tokenizer.ggml.pre': 'martian' }));
    expect(make).toThrow(UnsupportedModelError);
    expect(make).toThrow(/martian/);
  });

  it('ends with one word of 100,000 letters, and with as much mixed text', () => {
    const merges = ['a b', 'ab ab', 'abab abab', 'Ġ t', 'h e'];
    const tokenizer = createTokenizer(bpeGguf(merges));
    const long = 'ab'.repeat(50_000);
    expect(tokenizer.encode(long)).toHaveLength(12_500);
    const mixed = 'the quick, 42 brown\n«füchse» 中文😀 '.repeat(2_500);
    expect(tokenizer.decode(tokenizer.encode(mixed))).toBe(mixed);
  }, 60_000);
});
