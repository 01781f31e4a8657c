import { afterEach, describe, expect, test } from 'vitest';
import {
  ContextLengthError,
  createEngine,
  DisposedError,
  InvalidOptionError,
  type TesseraEngine,
} from '../../../src/index';
import { FakeHost } from '../../support/fake_host';
import { FakeWorker } from '../../support/fake_worker';

const workers: FakeWorker[] = [];

async function engine(): Promise<TesseraEngine> {
  return await createEngine({
    model: new File(['GGUF'], 'encoder.gguf'),
    worker: () => {
      workers.push(new FakeWorker(new FakeHost()));
      return workers[workers.length - 1].asWorker();
    },
  });
}

afterEach(() => {
  for (const each of workers.splice(0)) each.terminate();
});

describe('embeddings', () => {
  test("texts and tokens in OpenAI's shape, in their order, through the worker", async () => {
    const { embeddings } = await engine();
    expect(await embeddings.create({ input: ['ab', 'c'], model: 'encoder.gguf' })).toEqual({
      object: 'list',
      data: [
        { object: 'embedding', index: 0, embedding: [2, 0] },
        { object: 'embedding', index: 1, embedding: [1, 0] },
      ],
      model: 'encoder.gguf',
      usage: { prompt_tokens: 3, total_tokens: 3 },
    });
    expect((await embeddings.create({ input: 'abc' })).data.map(({ embedding }) => embedding)).toEqual([[3, 0]]);
    expect((await embeddings.create({ input: [4, 5, 6, 7] })).data).toHaveLength(1);
    expect((await embeddings.create({ input: [[4, 5], [6]] })).data).toHaveLength(2);
  });

  test('errors keep their class across the worker', async () => {
    const made = await engine();
    await expect(made.embeddings.create({ input: 'x'.repeat(300) })).rejects.toBeInstanceOf(ContextLengthError);
    await made.dispose();
    await expect(made.embeddings.create({ input: 'x' })).rejects.toBeInstanceOf(DisposedError);
  });

  test.each<[field: string, params: object]>([
    ['input', { input: 5 }],
    ['input', { input: [] }],
    ['input', { input: '' }],
    ['input[1]', { input: ['a', ''] }],
    ['input[1]', { input: ['a', 7] }],
    ['model', { input: 'a', model: 'other' }],
    ['encoding_format', { input: 'a', encoding_format: 'base64' }],
    ['dimensions', { input: 'a', dimensions: 64 }],
    ['user_name', { input: 'a', user_name: 'x' }],
    ['signal', { input: 'a', signal: 'now' }],
  ])('%s is refused by name: %j', async (field, params) => {
    const { embeddings } = await engine();
    const creating = embeddings.create(params as { input: string });
    await expect(creating).rejects.toSatisfy((error) => error instanceof InvalidOptionError && error.field === field);
  });
});
