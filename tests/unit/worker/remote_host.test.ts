import { afterEach, describe, expect, test } from 'vitest';
import { GREEDY } from '../../../src/engine/runner';
import {
  AbortedError,
  ContextLengthError,
  DisposedError,
  InvalidFileError,
  WorkerLostError,
} from '../../../src/errors';
import type { ChatEvent, ChatRequest, LoadSettings, ModelSource } from '../../../src/worker/protocol';
import { RemoteHost } from '../../../src/worker/remote_host';
import { FakeHost } from '../../support/fake_host';
import { FakeWorker } from '../../support/fake_worker';

const AUTO: LoadSettings = { backend: 'auto' };
const model = (url: string): ModelSource => ({ kind: 'url', url });
const request = (content: string): ChatRequest => ({
  messages: [{ role: 'user', content }],
  stop: [],
  sampling: GREEDY,
});
const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 5));

const started: FakeWorker[] = [];
const hosts: FakeHost[] = [];

function remote(): RemoteHost {
  return new RemoteHost(() => {
    hosts.push(new FakeHost());
    started.push(new FakeWorker(hosts[hosts.length - 1]));
    return started[started.length - 1].asWorker();
  });
}

async function textOf(events: AsyncIterable<ChatEvent>): Promise<string> {
  let text = '';
  for await (const event of events) if (event.type === 'delta') text += event.text;
  return text;
}

afterEach(() => {
  for (const worker of started.splice(0)) worker.terminate();
  hosts.length = 0;
});

describe('a host in a worker', () => {
  test('loads with progress, and answers', async () => {
    const host = remote();
    const progress: number[] = [];
    const info = await host.load(
      model('demo'),
      { ...AUTO, contextLength: 64 },
      { onProgress: (p) => progress.push(p.loaded) },
    );
    expect(info).toMatchObject({ model: 'demo', contextLength: 64 });
    await settle();
    expect(progress).toEqual([0, 1, 2, 3]);
    expect(await textOf(host.chat(request('one two three')))).toBe('one two three');
    expect(started).toHaveLength(1);
  });

  test('errors keep their class', async () => {
    const host = remote();
    await expect(host.load(model('broken'), AUTO)).rejects.toSatisfy(
      (error) => error instanceof InvalidFileError && error.details['offset'] === 12,
    );
    const tooLong = textOf(host.chat(request('word '.repeat(300))));
    await expect(tooLong).rejects.toSatisfy(
      (error) => error instanceof ContextLengthError && error.promptTokens === 300 && error.contextLength === 200,
    );
  });

  test('abort ends a load and an answer, with the reason as cause', async () => {
    const host = remote();
    await host.load(model('demo'), AUTO);
    hosts[0].gate = settle;
    const loading = new AbortController();
    const load = host.load(model('other'), AUTO, { signal: loading.signal });
    await settle();
    loading.abort('changed my mind');
    await expect(load).rejects.toMatchObject({ name: 'AbortError', cause: 'changed my mind' });
    expect(hosts[0].loaded).toEqual(['demo']);

    const answering = new AbortController();
    const answer = textOf(host.chat(request('word '.repeat(150)), answering.signal));
    await settle();
    answering.abort();
    await expect(answer).rejects.toBeInstanceOf(AbortedError);
    await settle();
    expect(hosts[0].openAnswers).toBe(0);
    await expect(textOf(host.chat(request('x'), AbortSignal.abort()))).rejects.toBeInstanceOf(AbortedError);
  });

  test('an answer that nobody reads waits, and one that is left ends', async () => {
    const host = remote();
    await host.load(model('demo'), AUTO);
    for await (const event of host.chat(request('word '.repeat(199)))) {
      if (event.type !== 'delta') continue;
      for (let i = 0; i < 10; i++) await settle();
      break;
    }
    expect(hosts[0].produced).toBeGreaterThan(0);
    expect(hosts[0].produced).toBeLessThan(140);
    expect(hosts[0].openAnswers).toBe(0);
  });

  test('when the worker dies, calls reject, and the next one starts another with the same model', async () => {
    const host = remote();
    await host.load(model('demo'), AUTO);
    hosts[0].gate = () => new Promise(() => {});
    const answer = textOf(host.chat(request('never comes')));
    const load = host.load(model('other'), AUTO);
    await settle();
    started[0].crash('out of memory');
    await expect(answer).rejects.toBeInstanceOf(WorkerLostError);
    await expect(load).rejects.toThrow(/out of memory/);
    expect(started[0].terminated).toBe(true);

    const texts = await Promise.all(['a b', 'c d'].map((text) => textOf(host.chat(request(text)))));
    expect(texts).toEqual(['a b', 'c d']);
    expect(started).toHaveLength(2);
    expect(hosts[1].loaded).toEqual(['demo']);
  });

  test('a failed load in a new worker leaves the old model answering', async () => {
    const host = remote();
    await host.load(model('demo'), AUTO);
    started[0].crash('gone');
    await expect(host.load(model('broken'), AUTO)).rejects.toBeInstanceOf(InvalidFileError);
    expect(await textOf(host.chat(request('still here')))).toBe('still here');
    expect(hosts[1].loaded).toEqual(['demo']);
  });

  test('a worker that cannot be started is an error, and is tried again', async () => {
    let attempts = 0;
    const host = new RemoteHost(() => {
      if (attempts++ === 0) throw new DOMException('blocked by policy', 'SecurityError');
      return new FakeWorker(new FakeHost()).asWorker();
    });
    await expect(host.load(model('demo'), AUTO)).rejects.toSatisfy(
      (error) => error instanceof WorkerLostError && error.cause instanceof DOMException,
    );
    expect(await host.load(model('demo'), AUTO)).toMatchObject({ model: 'demo' });
    await host.dispose();
  });

  test('dispose ends the worker and what is pending', async () => {
    const host = remote();
    await host.load(model('demo'), AUTO);
    hosts[0].gate = () => new Promise(() => {});
    const answer = textOf(host.chat(request('never comes')));
    await settle();
    await Promise.all([expect(answer).rejects.toBeInstanceOf(DisposedError), host.dispose()]);
    expect(hosts[0].disposed).toBe(true);
    expect(started[0].terminated).toBe(true);
    await expect(host.load(model('demo'), AUTO)).rejects.toBeInstanceOf(DisposedError);
  });
});
