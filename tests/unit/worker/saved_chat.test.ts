import { expect, test } from 'vitest';
import { fileSource } from '../../../src/cli/file_source';
import { type Engine, Engine as ServingEngine } from '../../../src/engine/engine';
import { GREEDY } from '../../../src/engine/runner';
import { InvalidFileError, InvalidOptionError, UnsupportedModelError } from '../../../src/errors';
import { loadModel } from '../../../src/model/load_model';
import { AnswerFormats } from '../../../src/structured/answer_formats';
import { answerChat } from '../../../src/worker/answer_chat';
import type { ChatMessage, ChatUsage } from '../../../src/worker/protocol';
import { loadChat, saveChat } from '../../../src/worker/saved_chat';
import { demoModel } from '../../support/demo_model';
import { ScriptedRunner } from '../../support/scripted_runner';

test('a backend that gives no pages, and a chat without messages, are refused', async () => {
  const { tokenizer, template } = await demoModel();
  const runner = new ScriptedRunner([], 0, { vocabSize: tokenizer.vocabSize, contextLength: 64 });
  const model = { tokenizer, template, engine: new ServingEngine(runner) };
  await expect(saveChat(model, [{ role: 'user', content: 'Hi' }])).rejects.toThrow(UnsupportedModelError);
  await expect(saveChat(model, [])).rejects.toThrow(InvalidOptionError);
});

test.each(['', '{}', '["Hi"]', '[{"role":"robot","content":"Hi"}]', '[{"role":"user","content":1}]', '[null]'])(
  'messages that are none are refused: %j',
  async (note) => {
    const engine = { loadPrefix: async () => ({ tokens: [1], note, positions: 0 }) } as unknown as Engine;
    await expect(loadChat({ engine }, new Uint8Array())).rejects.toThrow(InvalidFileError);
  },
);

test('a chat that has outgrown the context comes back with what the model still sees', async () => {
  const source = await fileSource('public/models/demo.q8_0.gguf');
  const loaded = await loadModel(source, { backend: 'reference', contextLength: 96 });
  const { tokenizer, template } = await demoModel();
  const vocabSize = tokenizer.vocabSize;
  const formats = new AnswerFormats(tokenizer, vocabSize);
  // 145 tokens and 3: the next stretch ends at 180.
  const messages = [{ role: 'user', content: 'Once upon a time there was a little fox. '.repeat(12) }] as const;
  const ask = async (engine: ServingEngine, all: readonly ChatMessage[]) => {
    const request = { messages: all, stop: [], sampling: GREEDY, maxTokens: 3, contextOverflow: {} };
    let text = '';
    let usage: ChatUsage | undefined;
    for await (const event of answerChat({ tokenizer, template, engine, formats, vocabSize }, request)) {
      if (event.type === 'delta') text += event.text;
      if (event.type === 'end') usage = event.usage;
    }
    return { text, usage };
  };
  const engine = new ServingEngine(loaded.runner);
  const first = await ask(engine, messages);
  expect(first.usage?.overflow?.shifts).toBeGreaterThan(0);
  const said = [...messages, { role: 'assistant', content: first.text } as const];
  const bytes = await saveChat({ tokenizer, template, engine }, said);
  const other = new ServingEngine(loaded.runner);
  expect(await loadChat({ engine: other }, bytes)).toEqual(said);
  const turn = [...said, { role: 'user', content: 'Hi' } as const];
  const again = await ask(other, turn);
  // More than the twelve tokens of the beginning.
  expect(again.usage?.cachedTokens).toBeGreaterThan(40);
  expect(again.text).toBe((await ask(new ServingEngine(loaded.runner, { prefixCache: false }), turn)).text);
});
