import type * as Transformers from '@xenova/transformers';
import { describe, expect, it } from 'vitest';
import { ChatTemplate } from '../../../src/tokenizer/chat_template';
import { createTokenizerFromJson } from '../../../src/tokenizer/json/tokenizer_json';
import { renderChat } from '../../../src/tokenizer/render_chat';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { pick, seeded } from '../../support/seeded';
import { ggufFromTokenizerJson, hasFixtures, readQwenConfig, readQwenTokenizerJson } from './support/files';
import { SHAPES, TEXTS } from './support/json_shapes';
import { bpeGguf } from './support/vocabularies';

// The build for browsers: the one for Node needs native image libraries that nothing here uses.
const build = new URL('../../../node_modules/@xenova/transformers/dist/transformers.web.js', import.meta.url).href;
const { env, PreTrainedTokenizer } = (await import(/* @vite-ignore */ build)) as typeof Transformers;

const SEED = Math.floor(Math.random() * 2 ** 32);

it('keeps a word apart from the space before it only where a merge joins them', () => {
  const tokenizer = createTokenizer(bpeGguf(['Ġ a']));
  expect(tokenizer.encode('b a').map((id) => tokenizer.tokenText(id))).toEqual(['b', ' a']);
});

// The library `tokenizers` counts U+0085 as white space, U+FEFF not, and digits of all scripts; JavaScript's \s and \d see it otherwise.
const SEEN_OTHERWISE = /[\u0085\ufeff]/u;
const OTHER_DIGITS = /[^\P{N}0-9]/u;

describe('small tokenizer.json files as transformers.js reads them', () => {
  for (const [name, json] of Object.entries(SHAPES)) {
    // That implementation has no normalisation tables.
    if (name === 't5') continue;
    it(`of the shape of ${name}`, () => {
      const theirs = new PreTrainedTokenizer(json, { unk_token: '<unk>' });
      const ours = createTokenizerFromJson({ tokenizerJson: JSON.stringify(json) });
      const hasDigits = name === 'starcoder' || name === 'falcon';
      for (const text of TEXTS) {
        if (SEEN_OTHERWISE.test(text) || (hasDigits && OTHER_DIGITS.test(text))) continue;
        expect(ours.encode(text, { special: true }), JSON.stringify(text)).toEqual(theirs.encode(text));
      }
    });
  }
});

if (hasFixtures) {
  describe('Qwen2.5 as transformers.js reads it', () => {
    env.allowRemoteModels = false;
    const json = readQwenTokenizerJson();
    const config = readQwenConfig();
    const theirs = new PreTrainedTokenizer(json, config);
    const eos = json.added_tokens.find(({ content }) => content === '<|im_end|>')?.id ?? 0;
    const ours = createTokenizer(ggufFromTokenizerJson(json, 'qwen2', { 'tokenizer.ggml.eos_token_id': eos }));
    const template = new ChatTemplate(config.chat_template);
    const random = seeded(SEED);

    const words = [
      'the ',
      ' quick',
      "I'm",
      "WE'LL",
      '1234',
      ' 3.14',
      '\n',
      '\n\n ',
      '   ',
      '\t',
      'naïve ',
      'Straße',
      '中文字',
      'こんにちは',
    ];
    words.push(
      '한국어',
      ' עברית',
      'العربية',
      '😀',
      '👩‍👩‍👧',
      '𝒳',
      '$%&',
      '...',
      '—',
      ' (x)',
      'foo_bar(',
      'ﬁ',
      '½',
      '\u00a0',
      'हिन्दी',
      '\r\n',
    );
    const sentence = (length: number) => Array.from({ length }, () => pick(random, words)).join('');

    it(`encodes random mixed text alike (seed ${SEED})`, () => {
      for (let i = 0; i < 150; i++) {
        // Theirs normalises first, ours takes the text as it is, like llama.cpp.
        const text = sentence(1 + Math.floor(random() * 30)).normalize('NFC');
        expect(ours.encode(text), JSON.stringify(text)).toEqual(theirs.encode(text));
      }
    });

    it(`renders conversations alike (seed ${SEED})`, () => {
      for (let i = 0; i < 20; i++) {
        const messages = Array.from({ length: 1 + Math.floor(random() * 4) }, (_, turn) => ({
          role: turn === 0 && random() < 0.5 ? 'system' : pick(random, ['user', 'assistant']),
          content: sentence(8).normalize('NFC'),
        }));
        const addGenerationPrompt = random() < 0.5;
        const options = { tokenize: false, add_generation_prompt: addGenerationPrompt } as const;
        const text = theirs.apply_chat_template(messages, options);
        expect(template.render(ours, messages, { addGenerationPrompt })).toBe(text);
        expect(renderChat(ours, template, messages, { addGenerationPrompt })).toEqual(theirs.encode(text));
      }
    });

    it('renders tools alike', () => {
      const messages = [{ role: 'user', content: 'What time is it?' }];
      const tools = [{ type: 'function', function: { name: 'clock', parameters: { type: 'object', properties: {} } } }];
      const text = theirs.apply_chat_template(messages, { tokenize: false, add_generation_prompt: true, tools });
      expect(template.render(ours, messages, { tools })).toBe(text);
    });

    it('encodes 100,000 characters of mixed text', () => {
      const text = sentence(25_000).normalize('NFC').slice(0, 100_000);
      expect(ours.decode(ours.encode(text))).toBe(text.replace(/\p{Surrogate}/gu, '\ufffd'));
    });
  });
}
