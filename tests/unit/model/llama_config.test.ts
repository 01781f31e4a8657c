import { expect, test } from 'vitest';
import { UnsupportedModelError } from '../../../src/errors';
import type { Gguf } from '../../../src/formats/gguf/gguf';
import { readGguf } from '../../../src/formats/gguf/read_gguf';
import { readModelSpec } from '../../../src/model/architecture';
import { syntheticGgufSource } from '../../support/synthetic_gguf';

const SIZES = { numLayers: 1, hiddenSize: 64, intermediateSize: 96, numHeads: 2, numKvHeads: 1, vocabSize: 300 };

async function withSizes(sizes: Readonly<Record<string, number>>): Promise<Gguf> {
  const gguf = await readGguf(syntheticGgufSource(SIZES));
  const changed = Object.entries(sizes).map(([key, value]) => [key, { type: 'u32', value }] as const);
  return { ...gguf, metadata: new Map([...gguf.metadata, ...changed]) };
}

test('a model whose vectors fill whole quads is read', async () => {
  expect(readModelSpec(await withSizes({}), 128, 2 ** 27).hiddenSize).toBe(64);
});

test.each([
  ['llama.embedding_length', 66],
  ['llama.feed_forward_length', 98],
])('%s %i is refused by name: kernels read four values at a time', async (key, size) => {
  const gguf = await withSizes({ 'llama.attention.key_length': 32, [key]: size });
  const read = () => readModelSpec(gguf, 128, 2 ** 27);
  expect(read).toThrow(UnsupportedModelError);
  expect(read).toThrow(`${key} ${size}`);
});
