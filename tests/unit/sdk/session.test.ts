import { expect, test, vi } from 'vitest';
import { ContextLengthError, createEngine, DisposedError, InvalidOptionError } from '../../../src/index';
import { FakeHost } from '../../support/fake_host';
import { fakeOpfs } from '../../support/fake_opfs';
import { FakeWorker } from '../../support/fake_worker';

/** An engine whose model says again what it is told. */
async function open() {
  const worker = new FakeWorker(new FakeHost());
  return await createEngine({ model: new File(['GGUF'], 'a.gguf'), worker: () => worker.asWorker() });
}

const said = (...contents: readonly string[]) =>
  contents.map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }));

test('a session remembers what was said, streamed or not', async () => {
  const engine = await open();
  const session = engine.createSession();
  const { choices } = await session.send('hello you', { temperature: 0 });
  expect(choices[0].message).toEqual({ role: 'assistant', content: 'hello you' });
  let text = '';
  for await (const chunk of session.stream('and again')) text += chunk.choices[0].delta.content ?? '';
  expect(text).toBe('and again');
  expect(session.messages).toEqual(said('hello you', 'hello you', 'and again', 'and again'));
  await engine.dispose();
  await expect(session.send('x')).rejects.toBeInstanceOf(DisposedError);
});

test('a fork goes its own way, and a saved session comes back', async () => {
  const engine = await open();
  const session = engine.createSession({ messages: [{ role: 'system', content: 'Be short.' }] });
  await session.send('one');
  const fork = session.fork();
  await Promise.all([session.send('two'), fork.send('three')]);
  const begin = [{ role: 'system', content: 'Be short.' }, ...said('one', 'one')];
  expect(session.messages).toEqual([...begin, ...said('two', 'two')]);
  expect(fork.messages).toEqual([...begin, ...said('three', 'three')]);
  const again = await engine.loadSession(await fork.save());
  expect(again.messages).toEqual(fork.messages);
  await engine.dispose();
});

test('a session is stored by name and comes back', async () => {
  const opfs = fakeOpfs();
  const root = { getDirectoryHandle: async () => opfs.directory };
  vi.stubGlobal('navigator', { storage: { getDirectory: async () => root } });
  const engine = await open();
  const session = engine.createSession();
  await session.send('one');
  expect(await session.save('a trip')).toMatchObject({ name: 'a trip', savedAt: expect.any(Date) });
  expect((await engine.loadSession('a trip')).messages).toEqual(said('one', 'one'));
  await expect(engine.loadSession('another')).rejects.toBeInstanceOf(InvalidOptionError);
  await engine.dispose();
  vi.unstubAllGlobals();
});

test('what went wrong or was left early is no part of a session, which can go on', async () => {
  const engine = await open();
  const session = engine.createSession();
  await expect(session.send('word '.repeat(300))).rejects.toBeInstanceOf(ContextLengthError);
  for await (const _ of session.stream('a b c')) break;
  const pending = session.send('first');
  await expect(session.send('second')).rejects.toBeInstanceOf(InvalidOptionError);
  await pending;
  expect(session.messages).toEqual(said('first', 'first'));
  await expect(session.send(5 as never)).rejects.toBeInstanceOf(InvalidOptionError);
  await expect(engine.loadSession(5 as never)).rejects.toBeInstanceOf(InvalidOptionError);
  // Node has no private file system.
  await expect(engine.loadSession('mine')).rejects.toBeInstanceOf(InvalidOptionError);
  await expect(session.save('mine')).rejects.toBeInstanceOf(InvalidOptionError);
  await engine.dispose();
});

test('a session goes on from one answer', async () => {
  const engine = await open();
  const options = { n: 2 } as object;
  await expect(engine.createSession().send('x', options)).rejects.toThrow(/"?n"?.*fork/);
  await engine.dispose();
});
