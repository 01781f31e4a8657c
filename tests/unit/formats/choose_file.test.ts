import { describe, expect, it } from 'vitest';
import { InvalidFileError, OutOfMemoryError, UnsupportedModelError } from '../../../src/errors';
import { chooseModelFile } from '../../../src/formats/choose_file';

const GB = 1e9;
const files = (sizes: Readonly<Record<string, number>>) =>
  Object.entries(sizes).map(([path, size]) => ({ path, size }));

const quants = files({
  'README.md': 1,
  'mmproj-F16.gguf': 0.1 * GB,
  'model-F16.gguf': 2 * GB,
  'model-Q8_0.gguf': 1.1 * GB,
  'model-Q4_K_M.gguf': 0.7 * GB,
  'model-q4_0.gguf': 0.65 * GB,
  'model-Q2_K.gguf': 0.4 * GB,
  'model-IQ1_S.gguf': 0.3 * GB,
});

describe('the file of a repository', () => {
  it('is the best quantisation that fits', () => {
    const chosen = (budget?: number) => chooseModelFile('owner/model', quants, budget).path;
    expect(chosen()).toBe('model-Q4_K_M.gguf');
    expect(chosen(0.95 * GB)).toBe('model-q4_0.gguf');
    expect(chosen(0.7 * GB)).toBe('model-Q2_K.gguf');
  });

  it('is refused with the numbers when none fits', () => {
    expect(() => chooseModelFile('owner/model', quants, 0.2 * GB)).toThrow(OutOfMemoryError);
    expect(() => chooseModelFile('owner/model', quants, 0.2 * GB)).toThrow(/model-IQ1_S\.gguf.*200000000/);
  });

  it('may be split: all parts count, and none may be missing', () => {
    const parts = { 'a/m-Q4_0-00001-of-00002.gguf': GB, 'a/m-Q4_0-00002-of-00002.gguf': GB / 2 };
    expect(chooseModelFile('x', files(parts))).toEqual({ path: 'a/m-Q4_0-00001-of-00002.gguf', bytes: 1.5 * GB });
    const second = files({ 'a/m-Q4_0-00002-of-00002.gguf': 1 });
    expect(() => chooseModelFile('x', second)).toThrow(InvalidFileError);
    expect(() => chooseModelFile('x', second)).toThrow('a/m-Q4_0-00001-of-00002.gguf is missing');
  });

  it('is the safetensors at the top where there is no GGUF', () => {
    const one = { 'config.json': 1, 'model.safetensors': 5, 'onnx/config.json': 1, 'onnx/model.safetensors': 6 };
    expect(chooseModelFile('x', files(one))).toEqual({ path: 'model.safetensors', bytes: 5 });
    const shards = { 'model-00001-of-00002.safetensors': 4, 'model-00002-of-00002.safetensors': 3 };
    const indexed = { 'config.json': 1, 'model.safetensors.index.json': 1, ...shards };
    expect(chooseModelFile('x', files(indexed))).toEqual({ path: 'model.safetensors.index.json', bytes: 7 });
    const none = files({ 'pytorch_model.bin': 1, 'config.json': 1 });
    expect(() => chooseModelFile('x', none)).toThrow(UnsupportedModelError);
    expect(() => chooseModelFile('x', none)).toThrow(/pytorch_model\.bin/);
  });
});
