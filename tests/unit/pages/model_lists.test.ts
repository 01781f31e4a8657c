import { expect, it } from 'vitest';
import { parseRepository } from '../../../src/pages/chat/model_lists';

it.each([
  ['owner/name', { repository: 'owner/name' }],
  [' owner/name:dir/model-Q4_0.gguf ', { repository: 'owner/name', file: 'dir/model-Q4_0.gguf' }],
  ['owner/name@v1', { repository: 'owner/name', revision: 'v1' }],
  ['owner/name@v1:a.gguf', { repository: 'owner/name', revision: 'v1', file: 'a.gguf' }],
  ['https://huggingface.co/owner/name', { repository: 'owner/name' }],
  ['https://huggingface.co/owner/name/tree/main', { repository: 'owner/name', revision: 'main' }],
  [
    'https://huggingface.co/owner/name/blob/main/a%20b.gguf?download=true',
    { repository: 'owner/name', revision: 'main', file: 'a b.gguf' },
  ],
  ['owner', undefined],
  ['a b/c', undefined],
  ['https://example.com/owner/name', undefined],
])('%s', (typed, expected) => {
  expect(parseRepository(typed)).toEqual(expected);
});
