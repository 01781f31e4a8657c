import { expect, test } from 'vitest';
import { type Engine, Engine as ServingEngine } from '../../../src/engine/engine';
import { InvalidFileError, InvalidOptionError, UnsupportedModelError } from '../../../src/errors';
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
