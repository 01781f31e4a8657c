import { expect, test } from 'vitest';
import { describeModel } from '../../../src/model/describe_model';
import { namedSyntheticModel } from '../../../src/model/synthetic';
import { CHOICES } from '../../../src/pages/benchmark/models';

const NAMES = [
  'smollm2-135m',
  'qwen2.5-0.5b',
  'qwen3-0.6b',
  'qwen3-1.7b',
  'llama-3.2-1b',
  'llama-3.2-3b',
  'llama-3.1-8b',
];
const FORMATS = ['q4_0', 'q4_k', 'q4_k_m', 'q8_0', 'f16'];

/** "76 MB" or "0.5 GB" of a label, in bytes. */
function bytesOf(label: string): number {
  const [, size, unit] = /\(([\d.]+) (MB|GB)\)$/.exec(label) ?? [];
  return Number(size) * (unit === 'GB' ? 1e9 : 1e6);
}

test('the benchmark page offers every shape in every format, with the size that its weights have', () => {
  const synthetic = CHOICES.filter(({ group }) => group !== undefined);
  const addresses = synthetic.map(({ model }) => model());
  for (const name of NAMES) for (const format of FORMATS) expect(addresses).toContain(`synthetic:${name}:${format}`);
  for (const { label, model } of synthetic) {
    const { gguf } = namedSyntheticModel(model() as string);
    const { weights } = describeModel(gguf, { backend: 'webgpu', contextLength: 32 }).memory;
    expect(Math.abs(bytesOf(label) / weights - 1), label).toBeLessThan(0.03);
  }
});
