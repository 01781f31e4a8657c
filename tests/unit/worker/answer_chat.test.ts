import { beforeAll, describe, expect, test } from 'vitest';
import { Engine } from '../../../src/engine/engine';
import { GREEDY } from '../../../src/engine/runner';
import { AbortedError, ContextLengthError, InvalidOptionError } from '../../../src/errors';
import type { Gguf } from '../../../src/formats/gguf/gguf';
import { AnswerFormats } from '../../../src/structured/answer_formats';
import { chatTemplate } from '../../../src/tokenizer/chat_template';
import { renderChat } from '../../../src/tokenizer/render_chat';
import type { Tokenizer } from '../../../src/tokenizer/tokenizer';
import { answerChat } from '../../../src/worker/answer_chat';
import type { ChatEvent, ChatRequest, ChatUsage, ScoredToken } from '../../../src/worker/protocol';
import { demoModel } from '../../support/demo_model';
import { ScriptedRunner } from '../../support/scripted_runner';

const CONTEXT = 128;

let gguf: Gguf;
let tokenizer: Tokenizer;

beforeAll(async () => {
  ({ gguf, tokenizer } = await demoModel());
});

/** The demo model's tokenizer and template over a runner that says `text` and then ends its turn. */
function modelThatSays(text: string) {
  const script = tokenizer.encode(text, { bos: false });
  const vocabSize = tokenizer.vocabSize;
  const runner = new ScriptedRunner(script, tokenizer.eos as number, { vocabSize, contextLength: CONTEXT });
  const engine = new Engine(runner);
  const formats = new AnswerFormats(tokenizer, vocabSize);
  return { tokenizer, template: chatTemplate(gguf, tokenizer), engine, formats, vocabSize, runner, script };
}

const ask = (content: string, more: Partial<ChatRequest> = {}): ChatRequest => ({
  messages: [{ role: 'user', content }],
  stop: [],
  sampling: GREEDY,
  ...more,
});

async function collect(events: AsyncIterable<ChatEvent>) {
  let text = '';
  const scores: ScoredToken[] = [];
  let end: Extract<ChatEvent, { type: 'end' }> | undefined;
  for await (const event of events) {
    if (event.type === 'delta') {
      text += event.text;
      scores.push(...event.scores);
    } else if (event.type === 'end') end = event;
  }
  return { text, scores, finishReason: end?.finishReason, usage: end?.usage };
}

const TEXT = 'Once upon a time, there was a café 🦊 in a "little" town.\n\nUser: and then?';

describe('an answer', () => {
  test('has its breakers of DRY looked up, and no guesses under mirostat unless they are asked for: then it is refused', async () => {
    const model = { ...modelThatSays(TEXT), drafts: true };
    const dry = { ...GREEDY, dryMultiplier: 1 };
    expect((await collect(answerChat(model, ask('Hello', { sampling: dry, speculation: 'off' })))).text).toBe(TEXT);
    const sampling = { ...GREEDY, temperature: 1, mirostat: 2 };
    expect((await collect(answerChat(model, ask('Hello', { sampling })))).text).toBe(TEXT);
    const guessing = ask('Hello', { sampling, speculation: { ngram: true, draft: false } });
    await expect(collect(answerChat(model, guessing))).rejects.toThrow(/speculation: does not go with mirostat/);
  });

  test('is the decoded text, up to the end of the turn', async () => {
    const model = modelThatSays(TEXT);
    const { text, finishReason, usage } = await collect(answerChat(model, ask('Who are you?')));
    expect(text).toBe(TEXT);
    expect(finishReason).toBe('stop');
    expect(usage).toMatchObject({ promptTokens: 15, completionTokens: model.script.length });
    expect(usage?.timeToFirstTokenMs).toBeGreaterThan(0);
    model.engine.checkIntegrity();
  });

  test('in a format ends where nothing may follow, and is computed for what is not forced alone', async () => {
    const text = '{"description": "a fox", "is ok": false}';
    const model = modelThatSays(text);
    const properties = { description: { type: 'string' }, 'is ok': { type: 'boolean' } };
    const schema = { type: 'object', properties, required: Object.keys(properties) };
    const format = { type: 'json_schema', json_schema: { schema } } as const;
    const answer = await collect(answerChat(model, ask('Who are you?', { format })));
    expect(answer).toMatchObject({ text, finishReason: 'stop', usage: { completionTokens: model.script.length } });
    expect(model.runner.steps).toBeLessThan(model.script.length - 5);
    const cut = await collect(answerChat(model, ask('Who are you?', { format, maxTokens: 9 })));
    expect(cut).toMatchObject({ finishReason: 'length', usage: { completionTokens: 9 } });
    expect(text.startsWith(cut.text)).toBe(true);
    // A runner that does not mind masks.
    const other = modelThatSays('Hello!');
    const failing = collect(answerChat(other, ask('Who are you?', { format })));
    await expect(failing).rejects.toMatchObject({ code: 'invalid_option', field: 'response_format' });
    const wrong = { type: 'regex', regex: '[' } as const;
    await expect(collect(answerChat(model, ask('Hi', { format: wrong })))).rejects.toThrow(
      /regex.*set of characters is not closed/,
    );
    model.engine.checkIntegrity();
  });

  test('of a second turn computes its new tokens alone', async () => {
    const user = { role: 'user', content: 'Hi' } as const;
    const assistant = { role: 'assistant', content: 'Once upon a time.' } as const;
    const template = chatTemplate(gguf, tokenizer);
    const prompt = renderChat(tokenizer, template, [user]);
    const both = renderChat(tokenizer, template, [user, assistant], { addGenerationPrompt: false });
    // The tokens that stand for the answer in a chat, up to the end of the turn.
    const script = both.slice(prompt.length, both.indexOf(tokenizer.eos as number, prompt.length));
    const { vocabSize } = tokenizer;
    const runner = new ScriptedRunner(script, tokenizer.eos as number, { vocabSize, contextLength: CONTEXT });
    const model = {
      tokenizer,
      template,
      engine: new Engine(runner),
      formats: new AnswerFormats(tokenizer, vocabSize),
      vocabSize,
    };
    const first = await collect(answerChat(model, ask('Hi')));
    expect(first.text).toBe(assistant.content);
    const messages = [user, assistant, { role: 'user', content: 'Who are you?' }] as const;
    const { usage } = await collect(answerChat(model, { ...ask(''), messages, maxTokens: 1 }));
    const { promptTokens = 0, completionTokens = 0 } = first.usage ?? {};
    expect(usage?.cachedTokens).toBe(promptTokens + completionTokens);
    expect(usage?.promptTokens).toBeGreaterThan(promptTokens + completionTokens);
  });

  test.each(['\n\nUser:', 'caf', '🦊', 'Once', 'é 🦊 in a "', 'then?', '"little"'])('ends before %j', async (stop) => {
    const model = modelThatSays(TEXT);
    const { text, finishReason } = await collect(answerChat(model, ask('Hi', { stop: ['never said', stop] })));
    expect(text).toBe(TEXT.slice(0, TEXT.indexOf(stop)));
    expect(finishReason).toBe('stop');
  });

  test('is cut by maxTokens and by the end of the context', async () => {
    const short = await collect(answerChat(modelThatSays(TEXT), ask('Hi', { maxTokens: 5 })));
    expect(short).toMatchObject({ finishReason: 'length', usage: { completionTokens: 5 } });
    expect(TEXT.startsWith(short.text)).toBe(true);
    const long = await collect(answerChat(modelThatSays(TEXT.repeat(20)), ask('Hi')));
    expect(long.finishReason).toBe('length');
    expect((long.usage?.promptTokens ?? 0) + (long.usage?.completionTokens ?? 0)).toBe(CONTEXT);
  });

  test('has a score for every token when asked, none otherwise', async () => {
    const model = modelThatSays(TEXT);
    const { text, scores } = await collect(answerChat(model, ask('Hi', { sampling: { ...GREEDY, topLogprobs: 2 } })));
    expect(scores).toHaveLength(model.script.length);
    expect(scores[0]).toMatchObject({ logprob: -0.25, top: [{ logprob: -0.25 }, { logprob: -2 }] });
    const bytes = new Uint8Array(scores.flatMap((score) => score.bytes));
    expect(new TextDecoder().decode(bytes).trim()).toBe(text);
    expect((await collect(answerChat(modelThatSays('Hi'), ask('Hi')))).scores).toEqual([]);
  });

  test('a prompt that does not fit names both numbers', async () => {
    const refused = collect(answerChat(modelThatSays(TEXT), ask('word '.repeat(200))));
    await expect(refused).rejects.toSatisfy(
      (error) => error instanceof ContextLengthError && error.promptTokens > 200 && error.contextLength === CONTEXT,
    );
  });

  test('a chat that may outgrow the context goes on in it, and says what was dropped', async () => {
    const sinks = 16;
    const long = ask('word '.repeat(200), { contextOverflow: { sinks, window: 40 }, maxTokens: 5 });
    const { usage } = await collect(answerChat(modelThatSays(TEXT), long));
    const { promptTokens = 0, overflow } = usage ?? {};
    expect(promptTokens).toBeGreaterThan(200);
    const dropped = Math.ceil((promptTokens - CONTEXT) / (CONTEXT - 56)) * (CONTEXT - 56);
    expect(overflow).toMatchObject({ droppedTokens: dropped, droppedPromptTokens: dropped });
    // As many tokens as the context has, unless it is told otherwise.
    const endless = await collect(answerChat(modelThatSays(TEXT.repeat(40)), ask('Hi', { contextOverflow: {} })));
    expect(endless.usage?.completionTokens).toBe(CONTEXT);
  });

  test('a bias on a token that does not exist is refused', async () => {
    const sampling = { ...GREEDY, logitBias: [[tokenizer.vocabSize, 1]] as const };
    const refused = collect(answerChat(modelThatSays(TEXT), ask('Hi', { sampling })));
    await expect(refused).rejects.toBeInstanceOf(InvalidOptionError);
  });

  test('several answers come with their numbers, each complete, and one usage for all', async () => {
    const model = modelThatSays(TEXT);
    const texts = ['', '', ''];
    const ends: { index: number; finishReason: string; usage: boolean }[] = [];
    let usage: ChatUsage | undefined;
    for await (const event of answerChat(model, ask('Who are you?', { n: 3, stop: ['café'] }))) {
      if (event.type === 'delta') texts[event.index] += event.text;
      if (event.type !== 'end') continue;
      ends.push({ index: event.index, finishReason: event.finishReason, usage: event.usage !== undefined });
      usage = event.usage ?? usage;
    }
    expect(texts).toEqual(Array.from({ length: 3 }, () => TEXT.slice(0, TEXT.indexOf('café'))));
    expect(ends.map(({ finishReason }) => finishReason)).toEqual(['stop', 'stop', 'stop']);
    expect(new Set(ends.map(({ index }) => index))).toEqual(new Set([0, 1, 2]));
    expect(ends.map((end) => end.usage)).toEqual([false, false, true]);
    const one = await collect(answerChat(modelThatSays(TEXT), ask('Who are you?', { stop: ['café'] })));
    expect(usage?.promptTokens).toBe(15);
    expect(usage?.completionTokens).toBe(3 * (one.usage?.completionTokens ?? 0));
    model.engine.checkIntegrity();
  });

  test('beams come as answers that are whole, best first, and one usage', async () => {
    const model = modelThatSays(TEXT);
    const strategy = { kind: 'beams', numBeams: 2, lengthPenalty: 0, earlyStopping: true } as const;
    const request = ask('Who are you?', { n: 2, strategy, sampling: { ...GREEDY, topLogprobs: 1 } });
    const texts = ['', ''];
    let usage: ChatUsage | undefined;
    for await (const event of answerChat(model, request)) {
      if (event.type === 'delta') texts[event.index] += event.text;
      if (event.type === 'end') usage = event.usage ?? usage;
    }
    expect(texts[0]).toBe(TEXT);
    expect(usage?.promptTokens).toBe(15);
    expect(usage?.completionTokens).toBeGreaterThan(model.script.length);
    model.engine.checkIntegrity();
    const refused = collect(answerChat(model, ask('Hi', { strategy: { ...strategy, numBeams: 99 } })));
    await expect(refused).rejects.toMatchObject({ name: 'InvalidOptionError', field: 'num_beams' });
  });

  test('abort in the middle says how far it came', async () => {
    const controller = new AbortController();
    const events = answerChat(modelThatSays(TEXT), ask('Hi'), controller.signal);
    let deltas = 0;
    const reading = (async () => {
      for await (const event of events) if (event.type === 'delta' && ++deltas === 3) controller.abort('enough');
    })();
    await expect(reading).rejects.toSatisfy(
      (error) =>
        error instanceof AbortedError && Number(error.details['completionTokens']) >= 3 && error.cause === 'enough',
    );
    await expect(collect(answerChat(modelThatSays(TEXT), ask('Hi'), AbortSignal.abort()))).rejects.toBeInstanceOf(
      AbortedError,
    );
  });

  test('a reader that leaves at the start ends the generation', async () => {
    const model = modelThatSays(TEXT.repeat(4));
    for await (const event of answerChat(model, ask('Hi'))) if (event.type === 'start') break;
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { steps } = model.runner;
    expect(steps).toBeLessThan(10);
    model.engine.checkIntegrity();
    expect((await collect(answerChat(model, ask('Hi', { maxTokens: 3 })))).usage?.completionTokens).toBe(3);
  });

  test('two at once are queued, and each gets its own', async () => {
    const model = modelThatSays(TEXT);
    const [a, b] = await Promise.all([ask('Hi'), ask('Hello')].map((request) => collect(answerChat(model, request))));
    expect([a.text, b.text]).toEqual([TEXT, TEXT]);
    expect(b.usage?.timeToFirstTokenMs).toBeGreaterThan(a.usage?.timeToFirstTokenMs ?? 0);
  });
});
