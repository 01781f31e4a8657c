import { describe, expect, test } from 'vitest';
import { AbortedError, ContextLengthError, InvalidOptionError } from '../../../src/errors';
import type { ChatCompletionChunk } from '../../../src/sdk/chat_types';
import { ChatCompletions } from '../../../src/sdk/completions';
import type { ChatEvent, ChatRequest, Host, ScoredToken } from '../../../src/worker/protocol';
import { FakeHost } from '../../support/fake_host';

const user = (content: string) => [{ role: 'user', content }] as const;
const over = (host: Host) =>
  new ChatCompletions(
    () => host,
    () => 'demo',
  );

async function read(stream: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletionChunk[]> {
  const chunks: ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

describe('chat completions', () => {
  test('a whole answer, with usage', async () => {
    const completion = await over(new FakeHost()).create({ messages: user('one two three four five') });
    expect(completion).toMatchObject({
      object: 'chat.completion',
      model: 'demo',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'one two three four five' },
          finish_reason: 'stop',
          logprobs: null,
        },
      ],
      usage: {
        prompt_tokens: 5,
        completion_tokens: 5,
        total_tokens: 10,
        time_to_first_token_s: 0.25,
        // One of them was cached.
        prompt_tokens_details: { cached_tokens: 1 },
        prefill_tokens_per_s: 20,
        decode_tokens_per_s: 4,
      },
    });
    expect(Math.abs(completion.created - Date.now() / 1000)).toBeLessThan(10);
  });

  test('chunks: the role first, then text, the last with finish_reason and usage', async () => {
    const stream = await over(new FakeHost()).create({ messages: user('a b c d'), stream: true, max_tokens: 2 });
    const chunks = await read(stream);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.map(({ choices: [{ delta }] }) => delta)).toEqual([
      { role: 'assistant', content: '' },
      { content: 'a' },
      { content: ' b' },
      {},
    ]);
    expect(chunks.map(({ choices: [{ finish_reason }] }) => finish_reason)).toEqual([null, null, null, 'length']);
    expect(chunks.map(({ usage }) => usage?.completion_tokens)).toEqual([undefined, undefined, undefined, 2]);
  });

  test('an answer of one token has no decode rate', async () => {
    const { usage } = await over(new FakeHost()).create({ messages: user('one') });
    expect(usage.decode_tokens_per_s).toBe(0);
  });

  test('a prompt that is refused rejects before there is a stream', async () => {
    const messages = user('word '.repeat(300));
    await expect(over(new FakeHost()).create({ messages, stream: true })).rejects.toBeInstanceOf(ContextLengthError);
    await expect(over(new FakeHost()).create({ messages })).rejects.toBeInstanceOf(ContextLengthError);
    const bad = over(new FakeHost()).create({ messages, top_p: 3, stream: true });
    await expect(bad).rejects.toBeInstanceOf(InvalidOptionError);
  });

  test('leaving the loop ends the answer; abort rejects', async () => {
    const host = new FakeHost();
    for await (const chunk of await over(host).create({ messages: user('a b c d'), stream: true })) {
      if (chunk.choices[0].delta.content) break;
    }
    expect(host).toMatchObject({ produced: 1, openAnswers: 0 });

    const controller = new AbortController();
    const stream = await over(host).create({ messages: user('a b c d'), stream: true, signal: controller.signal });
    controller.abort();
    await expect(read(stream)).rejects.toBeInstanceOf(AbortedError);
    expect(host.openAnswers).toBe(0);
  });

  test('log-probabilities in their shape', async () => {
    const score: ScoredToken = {
      token: 'é',
      bytes: [195, 169],
      logprob: -0.5,
      top: [{ token: 'e', bytes: [101], logprob: -1 }],
    };
    class ScoringHost extends FakeHost {
      override async *chat(_: ChatRequest): AsyncGenerator<ChatEvent, undefined> {
        const usage = {
          promptTokens: 1,
          completionTokens: 1,
          cachedTokens: 0,
          timeToFirstTokenMs: 1,
          prefillMs: 1,
          decodeMs: 0,
        };
        yield { type: 'start', promptTokens: 1 };
        yield { type: 'delta', index: 0, text: 'é', scores: [score] };
        yield { type: 'end', index: 0, finishReason: 'stop', usage };
        return undefined;
      }
    }
    const params = { messages: user('x'), logprobs: true, top_logprobs: 1 };
    const expected = {
      content: [
        { token: 'é', bytes: [195, 169], logprob: -0.5, top_logprobs: [{ token: 'e', bytes: [101], logprob: -1 }] },
      ],
    };
    const completion = await over(new ScoringHost()).create(params);
    expect(completion.choices[0].logprobs).toEqual(expected);
    const chunks = await read(await over(new ScoringHost()).create({ ...params, stream: true }));
    expect(chunks.map(({ choices: [{ logprobs }] }) => logprobs)).toEqual([null, expected, null]);
  });

  test('several answers: choices in order, chunks with their number, usage once', async () => {
    const usage = {
      promptTokens: 4,
      completionTokens: 3,
      cachedTokens: 0,
      timeToFirstTokenMs: 1,
      prefillMs: 1,
      decodeMs: 1,
    };
    class ForkedHost extends FakeHost {
      override async *chat({ n }: ChatRequest): AsyncGenerator<ChatEvent, undefined> {
        expect(n).toBe(2);
        yield { type: 'start', promptTokens: 4 };
        yield { type: 'delta', index: 1, text: 'b', scores: [] };
        yield { type: 'delta', index: 0, text: 'a', scores: [] };
        yield { type: 'end', index: 1, finishReason: 'stop' };
        yield { type: 'delta', index: 0, text: 'a', scores: [] };
        yield { type: 'end', index: 0, finishReason: 'length', usage };
        return undefined;
      }
    }
    const params = { messages: user('x'), n: 2 };
    const completion = await over(new ForkedHost()).create(params);
    expect(
      completion.choices.map(({ index, message, finish_reason }) => [index, message.content, finish_reason]),
    ).toEqual([
      [0, 'aa', 'length'],
      [1, 'b', 'stop'],
    ]);
    expect(completion.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 3, total_tokens: 7 });
    const chunks = await read(await over(new ForkedHost()).create({ ...params, stream: true }));
    expect(
      chunks.map(({ choices: [{ index, delta, finish_reason }] }) => [index, delta.content, finish_reason]),
    ).toEqual([
      [0, '', null],
      [1, '', null],
      [1, 'b', null],
      [0, 'a', null],
      [1, undefined, 'stop'],
      [0, 'a', null],
      [0, undefined, 'length'],
    ]);
    expect(chunks.map((chunk) => chunk.usage?.completion_tokens)).toEqual([...Array(6).fill(undefined), 3]);
  });
});
