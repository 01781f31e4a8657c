import { describe, expect, test } from 'vitest';
import { InvalidOptionError, UnsupportedModelError } from '../../../src/errors';
import { decodeRow } from '../../../src/formats/dequantize';
import { GGML_TYPES, type GgmlType } from '../../../src/formats/gguf/ggml_types';
import { WEIGHT_FORMATS } from '../../../src/formats/weight_format';
import { describeModel } from '../../../src/model/describe_model';
import { loadModel } from '../../../src/model/load_model';
import { namedSyntheticModel, syntheticModel } from '../../../src/model/synthetic';
import { blockPattern } from '../../../src/model/synthetic_blocks';
import { createTokenizer } from '../../../src/tokenizer/tokenizer';
import { seeded } from '../../support/seeded';

describe('named synthetic models', () => {
  // As the models' own pages say.
  test.each([
    ['smollm2-135m', 134_515_008, 49_152],
    ['qwen2.5-0.5b', 494_032_768, 151_936],
    ['qwen3-0.6b', 596_049_920, 151_936],
    ['qwen3-1.7b', 1_720_574_976, 151_936],
    ['llama-3.2-1b', 1_235_814_400, 128_256],
    ['llama-3.2-3b', 3_212_749_824, 128_256],
    ['llama-3.1-8b', 8_030_261_248, 128_256],
    ['olmoe-1b-7b', 6_919_161_856, 50_304],
    ['qwen3-30b-a3b', 30_532_122_624, 151_936],
  ])('%s has as many parameters as the real one', (shape, parameters, vocabSize) => {
    const { gguf } = namedSyntheticModel(`synthetic:${shape}:q8_0`);
    const description = describeModel(gguf, { backend: 'webgpu' });
    expect(description.parameters).toBe(parameters);
    expect(description.vocabSize).toBe(vocabSize);
    expect(createTokenizer(gguf).vocabSize).toBe(vocabSize);
  });

  test('every weight format makes a model that can be planned', () => {
    for (const format of WEIGHT_FORMATS) {
      const type = format.toUpperCase() as GgmlType;
      const { gguf, size } = namedSyntheticModel(`synthetic:llama-3.2-1b:${format}`);
      const { parameters, memory } = describeModel(gguf, { backend: 'webgpu' });
      const bytes = (parameters * GGML_TYPES[type].blockBytes) / GGML_TYPES[type].blockSize;
      expect(size / bytes, format).toBeCloseTo(1, 2);
      expect(memory.weights / bytes, format).toBeGreaterThan(0.99);
    }
  });

  // As large as such files are in the wild, which have a vocabulary beside.
  test.each([
    ['llama-3.2-1b', 0.808e9],
    ['llama-3.1-8b', 4.92e9],
  ])('%s mixed as Q4_K_M is what the quantiser makes of it', (shape, bytes) => {
    const { gguf, size } = namedSyntheticModel(`synthetic:${shape}:q4_k_m`);
    expect(Math.abs(size / bytes - 1)).toBeLessThan(0.012);
    const types = (pattern: RegExp): Set<string> =>
      new Set([...gguf.tensors.values()].filter(({ name }) => pattern.test(name)).map(({ type }) => type));
    expect(types(/attn_v|ffn_down/)).toEqual(new Set(['Q6_K', 'Q4_K']));
    expect(types(/blk\.0\.(attn_v|ffn_down)\.|^output\.weight/)).toEqual(new Set(['Q6_K']));
    expect(types(/attn_(q|k|output)\.|ffn_(gate|up)\./)).toEqual(new Set(['Q4_K']));
  });

  test.each(['synthetic:qwen3-0.7b:q4_0', 'synthetic:smollm2-135m:q9_9', 'synthetic:smollm2-135m', 'synthetic:a:b:c'])(
    '%s is refused with what there is',
    (name) => {
      expect(() => namedSyntheticModel(name)).toThrow(UnsupportedModelError);
      expect(() => namedSyntheticModel(name)).toThrow(/smollm2-135m.*q4_0/);
    },
  );

  test('rows that the format cannot cut are refused', () => {
    const shape = {
      numLayers: 1,
      hiddenSize: 48,
      intermediateSize: 64,
      numHeads: 3,
      numKvHeads: 1,
      headDim: 16,
      vocabSize: 300,
      contextLength: 64,
      ropeTheta: 10_000,
      tied: true,
    };
    expect(() => syntheticModel('odd', shape, 'q8_0')).toThrow(/rows of 48 values.*Q8_0/);
    expect(() => syntheticModel('odd', shape, 'f16')).not.toThrow();
  });

  test('rows that do not fill blocks of 256 take the format that llama.cpp gives them', () => {
    const { gguf } = namedSyntheticModel('synthetic:qwen2.5-0.5b:q4_k');
    expect(gguf.tensors.get('blk.0.attn_q.weight')?.type).toBe('Q5_0');
    expect(gguf.tensors.get('blk.0.ffn_down.weight')?.type).toBe('Q4_K');
    expect(describeModel(gguf, { backend: 'webgpu' }).architecture).toBe('qwen2');
  });

  test('the reference executor refuses them', async () => {
    const loading = loadModel(namedSyntheticModel('synthetic:smollm2-135m:q4_0'), { backend: 'reference' });
    await expect(loading).rejects.toThrow(InvalidOptionError);
  });

  test('text goes through the byte vocabulary and back', () => {
    const tokenizer = createTokenizer(namedSyntheticModel('synthetic:smollm2-135m:q4_0').gguf);
    const text = 'Grüße, 世界! 🙂';
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });
});

describe('random blocks', () => {
  const COLS = 256;
  const ROWS = 256;

  test.each(WEIGHT_FORMATS)('%s: finite values with the deviation asked for', (format) => {
    for (const deviation of [1 / 64, 1 / 24]) {
      const { blockBytes, fixed } = blockPattern(format, deviation);
      const random = seeded(Math.floor(Math.random() * 2 ** 31));
      const { blockSize } = GGML_TYPES[format.toUpperCase() as GgmlType];
      const bytes = Uint8Array.from({ length: (ROWS * COLS * blockBytes) / blockSize }, (_, i) => {
        const byte = Math.floor(random() * 256);
        const set = fixed.find(({ at }) => at === i % blockBytes);
        return set ? (byte & set.keep) | set.bits : byte;
      });
      const values = decodeRow(format, bytes, ROWS * COLS);
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const rms = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
      // Formats with an exponent for a scale come as near as a power of two.
      expect(rms / deviation).toBeGreaterThan(0.69);
      expect(rms / deviation).toBeLessThan(1.45);
      expect(Math.abs(mean) / deviation).toBeLessThan(0.15);
    }
  });
});
