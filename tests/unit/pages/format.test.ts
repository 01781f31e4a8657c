import { expect, test } from 'vitest';
import type { ModelInfo } from '../../../src/index';
import { formatAdapter, formatBytes, formatCount, formatRate, formatSeconds } from '../../../src/pages/chat/format';

test('sizes, counts, times and rates as people write them', () => {
  expect([0, 999, 1000, 3_957_152, 4.2e9].map(formatBytes)).toEqual(['0 B', '999 B', '1 kB', '3.96 MB', '4.2 GB']);
  expect([492_160, 3_672_320, 1.24e9, 7e10].map(formatCount)).toEqual(['492,160', '3.67 M', '1.24 B', '70 B']);
  expect([0.0314, 0.9994, 1.25, 62].map(formatSeconds)).toEqual(['31 ms', '999 ms', '1.25 s', '62 s']);
  expect([0.512, 41.26, 1234].map(formatRate)).toEqual(['0.512 tokens/s', '41.3 tokens/s', '1230 tokens/s']);
});

test('the adapter in the best words that there are', () => {
  const on = (adapter: ModelInfo['adapter']) => formatAdapter({ adapter } as ModelInfo);
  const none = { vendor: '', architecture: '', device: '', description: '' };
  expect(on({ ...none, vendor: 'apple', description: 'Apple M2' })).toBe('Apple M2');
  expect(on({ ...none, vendor: 'nvidia', architecture: 'ampere' })).toBe('nvidia ampere');
  expect(on(none)).toBe('WebGPU');
  expect(on(undefined)).toBe('JavaScript, no GPU');
});
