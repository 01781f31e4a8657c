import { describe, expect, test } from 'vitest';
import { GREEDY } from '../../../src/engine/runner';
import { InvalidOptionError } from '../../../src/errors';
import { parseChatParams } from '../../../src/sdk/chat_params';
import type { ChatCompletionParams } from '../../../src/sdk/chat_types';

const messages = [{ role: 'user', content: 'Hi' }] as const;
const parse = (params: object) => parseChatParams({ messages, ...params } as ChatCompletionParams, 'demo');

describe('chat options', () => {
  test('defaults: the plain distribution, another seed each time', () => {
    const [a, b] = [parse({}), parse({ temperature: null, stop: undefined })];
    expect(a).toMatchObject({
      stop: [],
      maxTokens: undefined,
      sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, topLogprobs: -1 },
    });
    expect(a.sampling.seed).not.toBe(b.sampling.seed);
  });

  test('what is given arrives', () => {
    const request = parse({
      temperature: 0.5,
      top_k: 7,
      top_p: 0.9,
      min_p: 0.1,
      seed: 42,
      max_tokens: 9,
      stop: ['a', 'b'],
      repetition_penalty: 1.1,
      frequency_penalty: -0.5,
      presence_penalty: 0.25,
      logit_bias: { 5: -3 },
      logprobs: true,
      top_logprobs: 3,
      priority: -2,
      model: 'demo',
      n: 3,
    });
    expect(request).toMatchObject({ n: 3, maxTokens: 9, stop: ['a', 'b'], priority: -2 });
    expect(request.sampling).toEqual({
      ...GREEDY,
      temperature: 0.5,
      topK: 7,
      topP: 0.9,
      minP: 0.1,
      seed: 42,
      repetitionPenalty: 1.1,
      frequencyPenalty: -0.5,
      presencePenalty: 0.25,
      logitBias: [[5, -3]],
      topLogprobs: 3,
    });
  });

  test('beams are asked for as in transformers, and draw nothing', () => {
    const { strategy, sampling } = parse({ num_beams: 3, n: 2 });
    expect(strategy).toEqual({ kind: 'beams', numBeams: 3, lengthPenalty: 1, earlyStopping: false });
    expect(sampling.temperature).toBe(0);
    const asked = parse({ num_beams: 2, length_penalty: -0.5, early_stopping: 'never' });
    expect(asked.strategy).toMatchObject({ lengthPenalty: -0.5, earlyStopping: 'never' });
    expect(parse({ dola_layers: [3, 5] }).dola).toEqual([3, 5]);
    expect(parse({ num_beams: 1 })).toMatchObject({ strategy: undefined, sampling: { temperature: 1 } });
  });

  test('a chat may outgrow the context by a word or by numbers', () => {
    for (const context_overflow of [undefined, null, 'error']) {
      expect(parse({ context_overflow }).contextOverflow).toBeUndefined();
    }
    expect(parse({ context_overflow: 'slide' }).contextOverflow).toEqual({});
    expect(parse({ context_overflow: { sinks: 0, window: 9 } }).contextOverflow).toEqual({ sinks: 0, window: 9 });
  });

  test('guidance draws, away from other messages', () => {
    const other = [{ role: 'system', content: 'Be rude.' }] as const;
    const request = parse({ guidance_scale: 1.5, negative_messages: other });
    expect(request.strategy).toEqual({ kind: 'guidance', scale: 1.5, negativeTokens: [] });
    expect(request.negativeMessages).toEqual(other);
    expect(request.sampling.temperature).toBe(1);
    expect(parse({ guidance_scale: 1 }).strategy).toBeUndefined();
  });

  test('contrastive search takes top_k for its candidates', () => {
    const { strategy, sampling } = parse({ penalty_alpha: 0.6, top_k: 5, stop: 'x' });
    expect(strategy).toEqual({ kind: 'contrastive', penaltyAlpha: 0.6, topK: 5 });
    expect(sampling).toEqual({ ...GREEDY, topLogprobs: -1 });
    expect(parse({ penalty_alpha: 0.6 }).strategy).toMatchObject({ topK: 4 });
    expect(parse({ penalty_alpha: 0, top_k: 5 })).toMatchObject({ strategy: undefined, sampling: { topK: 5 } });
  });

  test('formats are those of OpenAI, and two more', () => {
    const format = (response_format: ChatCompletionParams['response_format']) => parse({ response_format }).format;
    expect(format({ type: 'text' })).toBeUndefined();
    expect(format({ type: 'json_object' })).toEqual({ type: 'json_object' });
    const json_schema = { name: 'answer', schema: { type: 'object' }, strict: true };
    expect(format({ type: 'json_schema', json_schema })).toEqual({
      type: 'json_schema',
      json_schema: { schema: { type: 'object' }, strict: true },
    });
    expect(format({ type: 'regex', regex: 'a+' })).toEqual({ type: 'regex', regex: 'a+' });
    expect(format({ type: 'grammar', grammar: 'root ::= "a"' })).toEqual({ type: 'grammar', grammar: 'root ::= "a"' });
  });

  test('text parts are joined', () => {
    const content = [
      { type: 'text', text: 'a ' },
      { type: 'text', text: 'b' },
    ];
    expect(parse({ messages: [{ role: 'user', content }] }).messages).toEqual([{ role: 'user', content: 'a b' }]);
  });

  test.each<[field: string, params: object]>([
    ['n', { n: 0 }],
    ['context_overflow', { context_overflow: 'shift' }],
    ['context_overflow', { context_overflow: true }],
    ['context_overflow.sinks', { context_overflow: { sinks: '4' } }],
    ['context_overflow.keep', { context_overflow: { keep: 4 } }],
    ['n', { n: 129 }],
    ['num_beams', { num_beams: '4' }],
    ['length_penalty', { length_penalty: 2 }],
    ['length_penalty', { num_beams: 3, length_penalty: 'long' }],
    ['early_stopping', { num_beams: 1, early_stopping: true }],
    ['early_stopping', { num_beams: 3, early_stopping: 'soon' }],
    ['stop', { num_beams: 3, stop: 'x' }],
    ['penalty_alpha', { penalty_alpha: '0.6' }],
    ['penalty_alpha', { penalty_alpha: 0.6, num_beams: 2 }],
    ['top_k', { penalty_alpha: 0.6, top_k: '4' }],
    ['guidance_scale', { guidance_scale: 2, num_beams: 2 }],
    ['guidance_scale', { guidance_scale: 2, penalty_alpha: 0.5 }],
    ['negative_messages', { negative_messages: messages }],
    ['negative_messages', { guidance_scale: 2, negative_messages: [] }],
    ['dola_layers', { dola_layers: 'all' }],
    ['dola_layers', { dola_layers: 3 }],
    ['response_format', { response_format: 'json' }],
    ['response_format', { response_format: { type: 'json_object' }, num_beams: 3 }],
    ['response_format', { response_format: { type: 'json_object' }, dola_layers: 'low' }],
    ['response_format.type', { response_format: {} }],
    ['response_format.type', { response_format: { type: 'json' } }],
    ['response_format.schema', { response_format: { type: 'json_object', schema: {} } }],
    ['response_format.json_schema', { response_format: { type: 'json_schema' } }],
    ['response_format.json_schema.schema', { response_format: { type: 'json_schema', json_schema: { name: 'a' } } }],
    [
      'response_format.json_schema.schema',
      { response_format: { type: 'json_schema', json_schema: { schema: () => true } } },
    ],
    [
      'response_format.json_schema.strict',
      { response_format: { type: 'json_schema', json_schema: { schema: {}, strict: 1 } } },
    ],
    ['response_format.json_schema.scheme', { response_format: { type: 'json_schema', json_schema: { scheme: {} } } }],
    ['response_format.regex', { response_format: { type: 'regex', regex: /a/ } }],
    ['response_format.grammar', { response_format: { type: 'grammar' } }],
    ['tools', { tools: [] }],
    ['max_completion_tokens', { max_completion_tokens: 3 }],
    ['temprature', { temprature: 1 }],
    ['__proto__', JSON.parse('{"__proto__": 1}') as object],
    ['constructor', { constructor: 1 }],
    ['model', { model: 'gpt-4' }],
    ['stream', { stream: 'yes' }],
    ['signal', { signal: {} }],
    ['temperature', { temperature: Number.NaN }],
    ['temperature', { temperature: -1 }],
    ['top_p', { top_p: 0 }],
    ['top_k', { top_k: 1.5 }],
    ['priority', { priority: 101 }],
    ['seed', { seed: -1 }],
    ['top_logprobs', { top_logprobs: 3 }],
    ['logprobs', { logprobs: 'yes' }],
    ['max_tokens', { max_tokens: 0 }],
    ['max_tokens', { max_tokens: '5' }],
    ['stop', { stop: '' }],
    ['stop', { stop: ['a', 'b', 'c', 'd', 'e'] }],
    ['stop', { stop: [1] }],
    ['logit_bias', { logit_bias: { word: 1 } }],
    ['messages', { messages: [] }],
    ['messages', { messages: 'Hi' }],
    ['messages[0]', { messages: [null] }],
    ['messages[1].role', { messages: [...messages, { role: 'bot', content: '' }] }],
    ['messages[0].content', { messages: [{ role: 'user' }] }],
    ['messages[0].tool_calls', { messages: [{ role: 'assistant', content: '', tool_calls: [] }] }],
    [
      'messages[0].content[1].type',
      { messages: [{ role: 'user', content: [{ type: 'text', text: '' }, { type: 'image_url' }] }] },
    ],
    ['messages[0].content[0].text', { messages: [{ role: 'user', content: [{ type: 'text' }] }] }],
  ])('%s is refused by name: %j', (field, params) => {
    const refused = { messages, ...params };
    // Spreading would lose a key named __proto__.
    const given = Object.hasOwn(params, '__proto__')
      ? Object.defineProperty(refused, '__proto__', { value: 1, enumerable: true })
      : refused;
    expect(() => parseChatParams(given as ChatCompletionParams, 'demo')).toThrow(
      expect.toSatisfy((error) => error instanceof InvalidOptionError && error.field === field),
    );
  });

  test('params that are no object', () => {
    for (const params of [undefined, null, 'Hi', []]) {
      expect(() => parseChatParams(params as unknown as ChatCompletionParams, 'demo')).toThrow(InvalidOptionError);
    }
  });
});
