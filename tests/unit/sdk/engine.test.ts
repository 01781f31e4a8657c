import { afterEach, describe, expect, test } from 'vitest';
import {
  createEngine,
  DisposedError,
  InvalidFileError,
  InvalidOptionError,
  type TesseraEngine,
} from '../../../src/index';
import { FakeHost } from '../../support/fake_host';
import { FakeWorker } from '../../support/fake_worker';

const workers: FakeWorker[] = [];
const worker = () => {
  workers.push(new FakeWorker(new FakeHost()));
  return workers[workers.length - 1].asWorker();
};
const file = (name: string) => new File(['GGUF'], name);

async function say(engine: TesseraEngine, content: string): Promise<string> {
  const { choices } = await engine.chat.completions.create({ messages: [{ role: 'user', content }] });
  return choices[0].message.content;
}

afterEach(() => {
  for (const each of workers.splice(0)) each.terminate();
});

describe('createEngine', () => {
  test('answers, switches models, and keeps the old one when the new one is broken', async () => {
    const engine = await createEngine({ model: file('first.gguf'), worker, contextLength: 100 });
    expect(engine.info).toMatchObject({ model: 'first.gguf', contextLength: 100 });
    expect(await say(engine, 'Hi there')).toBe('Hi there');
    await expect(engine.load(file('broken.gguf'))).rejects.toBeInstanceOf(InvalidFileError);
    expect(engine.info.model).toBe('first.gguf');
    expect(await say(engine, 'still')).toBe('still');
    expect(await engine.load(file('second.gguf'))).toMatchObject({ model: 'second.gguf' });
    expect(engine.info.model).toBe('second.gguf');
    await engine.dispose();
    await expect(say(engine, 'x')).rejects.toBeInstanceOf(DisposedError);
    await expect(engine.load(file('x'))).rejects.toBeInstanceOf(DisposedError);
  });

  test('metrics come from where the model runs', async () => {
    const engine = await createEngine({ model: file('first.gguf'), worker });
    expect(await engine.metrics()).toMatchObject({ requests: { running: 0, finished: 0 }, interTokenMs: { p95: 0 } });
    expect(await engine.metrics({ bandwidth: true })).toMatchObject({ bandwidthBytesPerSecond: 1e9 });
    await engine.dispose();
    await expect(engine.metrics()).rejects.toBeInstanceOf(DisposedError);
  });

  test('bytes, buffers and addresses are models too', async () => {
    const bytes = new TextEncoder().encode('GGUF');
    for (const model of [bytes, bytes.buffer, new Blob([bytes]), new URL('https://example.com/a.gguf')]) {
      const engine = await createEngine({ model, worker });
      await engine.dispose();
    }
  });

  test('a model that cannot be loaded leaves no worker behind', async () => {
    await expect(createEngine({ model: file('broken'), worker })).rejects.toBeInstanceOf(InvalidFileError);
    expect(workers.every(({ terminated }) => terminated)).toBe(true);
  });

  test.each<[field: string, options: object]>([
    ['model', { model: 5 }],
    ['model', { model: 'not a url without a page' }],
    ['model', { model: 'file:///etc/passwd' }],
    ['backend', { backend: 'webgl' }],
    ['contextLength', { contextLength: 0 }],
    ['contextLength', { contextLength: 1.5 }],
    ['kvType', { kvType: 'q5_0' }],
    ['activationType', { activationType: 'bf16' }],
    ['without', { without: ['f16'] }],
    ['quantize', { quantize: 'q3_k' }],
    ['kvCache', { kvCache: 'q4_0' }],
    ['revision', { revision: 'main' }],
    ['file', { file: 'a.gguf' }],
    ['hub', { model: 'owner/name', hub: 'x' }],
    ['token', { model: 'owner/name', token: 'two words' }],
    ['file', { model: 'owner/name', file: 1 }],
    ['model', { model: [] }],
    ['model', { model: [{ path: 1 }] }],
    ['worker', { worker: 'yes' }],
  ])('%s is refused by name: %j', async (field, options) => {
    const creating = createEngine({ model: file('a'), worker, ...options });
    await expect(creating).rejects.toSatisfy((error) => error instanceof InvalidOptionError && error.field === field);
  });
});
