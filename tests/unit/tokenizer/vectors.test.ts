import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { chatTemplate } from '../../../src/tokenizer/chat_template';
import { createTokenizerFromJson } from '../../../src/tokenizer/json/tokenizer_json';
import { renderChat } from '../../../src/tokenizer/render_chat';
import { createTokenizer, type Tokenizer } from '../../../src/tokenizer/tokenizer';
import {
  demoModel,
  fixtures,
  ggufFromTokenizerJson,
  hasFixtures,
  openGguf,
  readQwenConfig,
  readQwenTokenizerJson,
  readVectors,
} from './support/files';
import { spmGguf } from './support/vocabularies';

it('encodes a file without fixtures at hand', () => {
  const tokenizer = createTokenizer(spmGguf(['a', 'b', 'ab']));
  expect(tokenizer.decode(tokenizer.encode('abba'))).toBe('abba');
});

if (hasFixtures) {
  describe('tokens of llama.cpp', () => {
    const check = (tokenizer: Tokenizer, name: string) => {
      const vectors = readVectors(name);
      expect(vectors).toHaveLength(47);
      for (const { text, ids } of vectors)
        expect(tokenizer.encode(text, { bos: false }), JSON.stringify(text)).toEqual(ids);
    };

    for (const name of ['llama-spm', 'phi-3', 'gpt-2', 'falcon']) {
      it(name, async () => {
        const file = `ggml-vocab-${name}.gguf`;
        const tokenizer = createTokenizer(await openGguf(new URL(file, fixtures)));
        check(tokenizer, file);
        for (const { text } of readVectors(file)) expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
      });
    }

    it('bert-bge', async () => {
      const file = 'ggml-vocab-bert-bge.gguf';
      const tokenizer = createTokenizer(await openGguf(new URL(file, fixtures)));
      check(tokenizer, file);
      const tokens = tokenizer.encode('Hello, embedding!');
      expect(tokens.map((id) => tokenizer.tokenText(id))).toEqual([
        '[CLS]',
        ' hello',
        ' ,',
        ' em',
        'bed',
        'ding',
        ' !',
        '[SEP]',
      ]);
      expect(tokenizer.decode(tokens)).toBe('hello , embedding !');
    });

    it('qwen2.5', () => {
      check(createTokenizer(ggufFromTokenizerJson(readQwenTokenizerJson(), 'qwen2')), 'qwen2.5');
    });

    it('qwen2.5 from its tokenizer.json', () => {
      const tokenizer = createTokenizerFromJson({
        tokenizerJson: JSON.stringify(readQwenTokenizerJson()),
        tokenizerConfig: JSON.stringify(readQwenConfig()),
      });
      check(tokenizer, 'qwen2.5');
      expect([tokenizer.addsBos, tokenizer.tokenText(tokenizer.eos ?? -1)]).toEqual([false, '<|im_end|>']);
    });

    it('prompts of the demo model, through its chat template', async () => {
      const gguf = await openGguf(new URL('demo.q8_0.gguf', demoModel));
      const tokenizer = createTokenizer(gguf);
      const template = chatTemplate(gguf, tokenizer);
      const cases = JSON.parse(readFileSync(new URL('expected.json', demoModel), 'utf8')) as {
        question: string;
        prompt: string;
        ids: number[];
        answer: number[];
        text: string;
      }[];
      expect(cases).toHaveLength(18);
      for (const { question, prompt, ids, answer, text } of cases) {
        expect(tokenizer.encode(prompt, { special: true })).toEqual(ids);
        expect(renderChat(tokenizer, template, [{ role: 'user', content: question }])).toEqual(ids);
        expect(tokenizer.decode(answer).trim()).toBe(text.trim());
      }
    });
  });
}
