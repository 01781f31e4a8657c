import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InvalidFileError, UnsupportedModelError } from '../../../src/errors';
import { createTokenizerFromJson } from '../../../src/tokenizer/json/tokenizer_json';
import { loadTokenizer } from '../../../src/tokenizer/load_tokenizer';
import { SHAPES, TEXTS } from './support/json_shapes';

const make = (json: object, configs: { config?: object; generation?: object } = {}) =>
  createTokenizerFromJson({
    tokenizerJson: JSON.stringify(json),
    tokenizerConfig: configs.config && JSON.stringify(configs.config),
    generationConfig: configs.generation && JSON.stringify(configs.generation),
  });

describe('tokenizer.json', () => {
  it('of the shape of t5 gives the tokens of llama.cpp', () => {
    const { texts, cases } = JSON.parse(
      readFileSync(new URL('../../fixtures/tokenizers/unigram.json', import.meta.url), 'utf8'),
    ) as { texts: string[]; cases: { mapped: boolean; mergesSpaces: boolean; ids: number[][] }[] };
    const ids = cases.find(({ mapped, mergesSpaces }) => mapped && mergesSpaces)?.ids ?? [];
    const tokenizer = make(SHAPES.t5);
    texts.forEach((text, i) => {
      // A mark that somebody wrote is one that begins a word here.
      if (/[\u0085\u2581]/.test(text)) return;
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual([...ids[i], 1]);
    });
  });

  it('is what a model from a repository is read with', async () => {
    const tokenizer = await loadTokenizer({
      metadata: new Map(),
      tokenizer: { tokenizerJson: JSON.stringify(SHAPES.gemma) },
    });
    expect(tokenizer.decode(tokenizer.encode('Hello a é'))).toBe('Hello a é');
  });

  it('gives text back', () => {
    for (const name of ['gpt2', 'llama3', 'deepseek-v3', 'llama2', 'gemma'] as const) {
      const tokenizer = make(SHAPES[name]);
      for (const text of TEXTS) {
        // llama3's shape composes characters.
        const expected = name === 'llama3' ? text.normalize('NFC') : text;
        if (!text.includes('<')) expect(tokenizer.decode(tokenizer.encode(text)), name).toBe(expected);
      }
    }
    expect(make(SHAPES.bert).decode(make(SHAPES.bert).encode('Hello, привет!'))).toContain('привет');
  });

  it('keeps what a user wrote apart from control tokens', () => {
    const tokenizer = make(SHAPES.llama3);
    const control = tokenizer.tokenId('<|end|>') ?? -1;
    expect(tokenizer.encode('a<|end|>b', { special: true })).toContain(control);
    expect(tokenizer.encode('a<|end|>b')).not.toContain(control);
    expect(tokenizer.decode(tokenizer.encode('a<|end|>b'))).toBe('a<|end|>b');
    expect(tokenizer.encode('a WORLD')).toContain(tokenizer.tokenId('WORLD'));
    expect(tokenizer.controlTexts).toEqual(['<|end|>']);
  });

  it('lets added tokens swallow spaces and stand alone', () => {
    const token = (id: number, content: string, more: object) => ({
      id,
      content,
      special: false,
      normalized: false,
      ...more,
    });
    const { model, decoder } = SHAPES.gpt2 as { model: { vocab: object }; decoder: object };
    const size = Object.keys(model.vocab).length;
    const tokenizer = make({
      model,
      decoder,
      added_tokens: [
        token(size, '[L]', { lstrip: true }),
        token(size + 1, '[R]', { rstrip: true }),
        token(size + 2, 'one', { single_word: true }),
        token(size + 3, '[L][L]', {}),
      ],
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    });
    const texts = (text: string) => tokenizer.encode(text).map((id) => tokenizer.tokenText(id));
    expect(texts('x \n[L] x')).toEqual(['x', '[L]', ' ', 'x']);
    expect(texts('x [R]\u00a0 x')).toEqual(['x', ' ', '[R]', 'x']);
    expect(texts('one_ one')).not.toContain('one_');
    expect(texts('one_ one').filter((text) => text === 'one')).toHaveLength(1);
    expect(texts('[L][L][L]')).toEqual(['[L][L]', '[L]']);
  });

  it('takes BOS, EOS and the ends of answers from the files beside it', () => {
    const config = { bos_token: '<bos>', eos_token: { content: '<eos>', special: true }, add_bos_token: true };
    const tokenizer = make(SHAPES.llama2, { config, generation: { eos_token_id: [1, 5] } });
    expect([tokenizer.bos, tokenizer.eos, tokenizer.addsBos]).toEqual([2, 1, true]);
    expect([...tokenizer.stopTokens].sort((a, b) => a - b)).toEqual([1, 5]);
    expect(tokenizer.encode('', { bos: 'auto' })).toEqual([2]);
    const bare = { ...SHAPES.llama2, post_processor: null };
    expect(make(bare).encode('')).toEqual([]);
    expect(make(bare, { config }).encode('')).toEqual([2]);
    expect(make(SHAPES.bert).encode('')).toEqual([2, 3]);
  });
});

describe('tokenizer_config.json', () => {
  it('adds tokens, and says more of those that are there', () => {
    const { model } = SHAPES.mistral as { model: { vocab: object } };
    const size = Object.keys(model.vocab).length;
    const tokens = {
      [size]: { content: '[INST]', special: true },
      4: { content: '</s>', special: true, lstrip: true },
    };
    const tokenizer = make(SHAPES.mistral, { config: { added_tokens_decoder: tokens } });
    expect(tokenizer.tokenText(size)).toBe('[INST]');
    expect(tokenizer.encode('a </s>[INST]', { special: true, bos: false }).slice(-2)).toEqual([4, size]);
    expect(tokenizer.encode('</s>[INST]')).not.toContain(4);
    const other = { added_tokens_decoder: { 4: { content: '</t>' } } };
    expect(() => make(SHAPES.mistral, { config: other })).toThrow(/added_tokens_decoder\.4\.content: expected "<\/s>"/);
  });
});

describe('tokenizer.json refuses', () => {
  const change = (name: keyof typeof SHAPES, more: object, model: object = {}) => {
    const shape = SHAPES[name] as { model: object };
    return () => make({ ...shape, ...more, model: { ...shape.model, ...model } });
  };
  const cases: [string, () => unknown, new (...args: never[]) => Error, RegExp][] = [
    [
      'no JSON',
      () => createTokenizerFromJson({ tokenizerJson: '{"model":' }),
      InvalidFileError,
      /tokenizer\.json: no JSON/,
    ],
    ['a list', () => createTokenizerFromJson({ tokenizerJson: '[]' }), InvalidFileError, /expected an object/],
    ['no model', () => make({}), InvalidFileError, /model.*expected an object, found nothing/],
    ['another model', change('gpt2', {}, { type: 'WordLevel' }), UnsupportedModelError, /model "WordLevel"/],
    ['another normalizer', change('gpt2', { normalizer: { type: 'Rot13' } }), UnsupportedModelError, /"Rot13"/],
    ['another pre-tokenizer', change('gpt2', { pre_tokenizer: { type: 'Odd' } }), UnsupportedModelError, /"Odd"/],
    ['another decoder', change('gpt2', { decoder: { type: 'CTC' } }), UnsupportedModelError, /"CTC"/],
    [
      'a regular expression that may take for ever',
      change('gpt2', { pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' } }),
      UnsupportedModelError,
      /pre_tokenizer\.pattern\.Regex: the regular expression "\(a\+\)\+\$"/,
    ],
    [
      'an id of a milliard',
      change('gpt2', {}, { vocab: { a: 1e9 }, merges: [] }),
      InvalidFileError,
      /token "a".*1000000000/,
    ],
    [
      'two texts for an id',
      change('gpt2', {}, { vocab: { a: 0, b: 0 }, merges: [] }),
      InvalidFileError,
      /one text for token 0/,
    ],
    ['a merge of nothing', change('gpt2', {}, { merges: ['H'] }), InvalidFileError, /merges\[0\].*pair of tokens/],
    [
      'a merge of strangers',
      change('gpt2', {}, { merges: ['martians come'] }),
      InvalidFileError,
      /merges\[0\].*vocabulary/,
    ],
    ['a score that is no number', change('t5', {}, { vocab: [['a', '1']] }), InvalidFileError, /vocab\[0\]/],
    ['an unknown token out of range', change('t5', {}, { unk_id: 9999 }), InvalidFileError, /unk_id/],
    [
      'a broken table',
      change('t5', { normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA' } }),
      InvalidFileError,
      /normalisation table/,
    ],
    [
      'an end that is no token',
      () => make(SHAPES.gpt2, { generation: { eos_token_id: 1e6 } }),
      InvalidFileError,
      /1000000/,
    ],
  ];
  for (const [name, action, type, message] of cases) {
    it(name, () => {
      expect(action).toThrow(type);
      expect(action).toThrow(message);
    });
  }
});
