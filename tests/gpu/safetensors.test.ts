/** The same tiny model as GGUF and as safetensors: equal logits on the GPU. Quantising is in quantize.test.ts. */
import { expect, test } from 'vitest';
import { GREEDY, type Runner } from '../../src/engine/runner';
import type { ByteSource } from '../../src/formats/byte_source';
import { openModelFile } from '../../src/formats/open_model_file';
import type { LoadModelOptions } from '../../src/model/layout';
import { loadModel } from '../../src/model/load_model';
import { bufferSource } from '../../src/storage/byte_source';
import { asRepository, LLAMA_CHECKPOINT, readFixture } from '../support/hugging_face';
import { memoryFolder } from '../support/safetensors_writer';

const TOKENS = [1, 333, 385];

async function logits(source: ByteSource, options: Partial<LoadModelOptions> = {}): Promise<Float32Array[]> {
  const model = await loadModel(source, {
    backend: 'webgpu',
    kvType: 'f32',
    maxRows: 1,
    contextLength: 32,
    ...options,
  });
  try {
    return await score(model.runner);
  } finally {
    model.dispose();
  }
}

/** A token at a time: one row bucket, so that few kernels are compiled. */
async function score(runner: Runner): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (const [position, token] of TOKENS.entries()) {
    const segment = { slot: 0, tokens: [token], position, pages: [0], sampling: GREEDY, returnLogits: true } as const;
    const result = await runner.run({ segments: [{ ...segment, sample: 'all' }] });
    rows.push(...(result.segments[0].logits ?? []).map((row) => row.slice()));
  }
  return rows;
}

test('a checkpoint answers as its GGUF file does, to the bit', async () => {
  const fixture = await readFixture('tests/fixtures/models/llama-gqa.gguf');
  const checkpoint = await openModelFile(memoryFolder(asRepository(fixture, LLAMA_CHECKPOINT)), 'model.safetensors');
  const expected = await logits(bufferSource(fixture.bytes));
  expect(expected).toHaveLength(TOKENS.length);
  expect(await logits(checkpoint)).toEqual(expected);
});
