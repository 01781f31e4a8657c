import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { GgufMetadata } from '../../../src/formats/gguf/gguf';
import { BYTE_TO_CHARACTER } from '../../../src/tokenizer/byte_level';
import { preTokenizer } from '../../../src/tokenizer/pre_tokenizers';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { metadata } from './support/metadata';

/** What llama.cpp made of texts that are hard to cut: see scripts/oracle/tokenizers.mjs. */
const folder = new URL('../../fixtures/tokenizers/', import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'));

interface Vectors {
  readonly tokens: string[];
  readonly texts: string[];
}

/** All pairs of bytes merge, in an order without a pattern: a cut that is elsewhere changes tokens. */
function pairVocabulary(whole: readonly string[]): GgufMetadata {
  const merges = Array.from({ length: 65_536 }, (_, i) => {
    const pair = (i * 40_503) % 65_536;
    return `${BYTE_TO_CHARACTER[pair >> 8]} ${BYTE_TO_CHARACTER[pair & 255]}`;
  });
  return metadata({
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.tokens': [...BYTE_TO_CHARACTER, ...merges.map((merge) => merge.replace(' ', '')), ...whole],
    'tokenizer.ggml.merges': merges,
    'tokenizer.ggml.bos_token_id': 0,
  });
}

function describeRecipe(name: string): object {
  const { patterns, ...flags } = preTokenizer(name);
  return { ...flags, patterns: patterns.map(({ source }) => source) };
}

describe('byte-level BPE cuts words as llama.cpp does', () => {
  const { whole, texts, groups } = read('pre_tokenizers') as {
    whole: string[];
    texts: string[];
    groups: { names: string[]; addsBos: boolean; lengths: string[] }[];
  };
  const vocabulary = pairVocabulary(whole);

  for (const { names, addsBos, lengths } of groups) {
    it(names.join(', '), () => {
      // Names of one recipe need one look.
      const recipes = new Map(names.map((name) => [JSON.stringify(describeRecipe(name)), name]));
      for (const name of recipes.values()) {
        const pre = metadata({ 'tokenizer.ggml.pre': name }).metadata;
        const tokenizer = createTokenizer({ metadata: new Map([...vocabulary.metadata, ...pre]) });
        expect(tokenizer.addsBos, name).toBe(addsBos);
        texts.forEach((text, i) => {
          const found = tokenizer.encode(text, { bos: false }).map((id) => tokenizer.tokenBytes(id).length);
          expect(found.join(''), `${name}: ${JSON.stringify(text)}`).toBe(lengths[i]);
        });
      }
    });
  }
});

describe('other kinds give the tokens of llama.cpp', () => {
  it('unigram, with a normalisation table', () => {
    const { tokens, types, scores, charsMap, texts, cases } = read('unigram') as Vectors & {
      types: number[];
      scores: number[];
      charsMap: string;
      cases: { spacePrefix: boolean; mergesSpaces: boolean; mapped: boolean; ids: number[][] }[];
    };
    for (const { spacePrefix, mergesSpaces, mapped, ids } of cases) {
      const { metadata: values } = metadata({
        'tokenizer.ggml.model': 't5',
        'tokenizer.ggml.tokens': tokens,
        'tokenizer.ggml.token_type': types,
        'tokenizer.ggml.scores': scores,
        'tokenizer.ggml.eos_token_id': 1,
        'tokenizer.ggml.unknown_token_id': 2,
        'tokenizer.ggml.add_space_prefix': spacePrefix,
        'tokenizer.ggml.remove_extra_whitespaces': mergesSpaces,
      });
      const table = { itemType: 'u8', items: Uint8Array.from(Buffer.from(charsMap, 'base64')) } as const;
      const tokenizer = createTokenizer({
        metadata: new Map([
          ...values,
          ...(mapped ? [['tokenizer.ggml.precompiled_charsmap', { type: 'array', value: table }] as const] : []),
        ]),
      });
      texts.forEach((text, i) => {
        expect(tokenizer.encode(text, { bos: false }), JSON.stringify(text)).toEqual(ids[i]);
        expect(tokenizer.encode(text)).toEqual([...ids[i], 1]);
      });
    }
  });

  it('WordPiece', () => {
    const { tokens, texts, ids, special } = read('word_piece') as Vectors & { ids: number[][]; special: number[][] };
    const tokenizer = createTokenizer(
      metadata({
        'tokenizer.ggml.model': 'bert',
        'tokenizer.ggml.tokens': tokens,
        'tokenizer.ggml.token_type': tokens.map((_, id) => [3, 2, 3, 3, 3][id] ?? 1),
        'tokenizer.ggml.cls_token_id': 2,
        'tokenizer.ggml.unknown_token_id': 1,
        'tokenizer.ggml.seperator_token_id': 3,
      }),
    );
    expect(ids.flat().filter((id) => id !== 1).length).toBeGreaterThan(ids.flat().length / 4);
    texts.forEach((text, i) => {
      expect(tokenizer.encode(text, { bos: false }), JSON.stringify(text)).toEqual(ids[i]);
      expect(tokenizer.encode(text, { bos: false, special: true }), JSON.stringify(text)).toEqual(special[i]);
      expect(tokenizer.encode(text)).toEqual([2, ...ids[i], 3]);
    });
    // A word that takes minutes where the rest of it is walked or copied for each of its tokens.
    const [first, next] = ['▁a', 'a'].map((token) => tokens.indexOf(token));
    const long = tokenizer.encode('a'.repeat(200_000), { bos: false });
    expect([long.length, long[0], long.findIndex((id, i) => i > 0 && id !== next)]).toEqual([200_000, first, -1]);
  });

  it('BPE over characters, as Gemma 4 has it', () => {
    const { tokens, types, merges, texts, ids, ends } = read('raw_pairs') as Vectors & {
      types: number[];
      merges: string[];
      ids: number[][];
      ends: number[];
    };
    const tokenizer = createTokenizer(
      metadata({
        'tokenizer.ggml.model': 'gemma4',
        // Which llama.cpp does not believe.
        'tokenizer.ggml.add_bos_token': false,
        'tokenizer.ggml.tokens': tokens,
        'tokenizer.ggml.token_type': types,
        'tokenizer.ggml.merges': merges,
        'tokenizer.ggml.bos_token_id': 2,
        'tokenizer.ggml.eos_token_id': 1,
        'tokenizer.ggml.unknown_token_id': 3,
      }),
    );
    expect([...tokenizer.stopTokens].sort((a, b) => a - b)).toEqual(ends);
    texts.forEach((text, i) => {
      expect(tokenizer.encode(text, { bos: false }), JSON.stringify(text)).toEqual(ids[i]);
      expect(tokenizer.decode(ids[i])).toBe(text);
      expect(tokenizer.encode(text)).toEqual([2, ...ids[i]]);
    });
  });
});
