import { expect, it } from 'vitest';
import { UnsupportedModelError } from '../../../src/errors';
import type { ByteSource } from '../../../src/formats/byte_source';
import { loadModel } from '../../../src/model/load_model';
import { readFixture } from '../../support/hugging_face';

it('a model that does not give what is wanted is refused before any of its weights is read', async () => {
  const { bytes, gguf } = await readFixture('tests/fixtures/models/bert-cls.gguf');
  let furthest = 0;
  const source: ByteSource = {
    name: 'encoder',
    size: bytes.length,
    async read(offset, length) {
      furthest = Math.max(furthest, offset);
      return bytes.slice(offset, offset + length);
    },
    async *stream(offset, length) {
      furthest = Math.max(furthest, offset);
      yield bytes.slice(offset, offset + length);
    },
  };
  const loading = loadModel(source, { backend: 'reference', purpose: 'tokens' });
  await expect(loading).rejects.toThrow(UnsupportedModelError);
  expect(furthest).toBeLessThan(gguf.dataOffset);
});
