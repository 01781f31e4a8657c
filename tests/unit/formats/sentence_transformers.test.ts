/** The folders that sentence-transformers puts beside a model. */
import { describe, expect, it } from 'vitest';
import { InvalidFileError, UnsupportedModelError } from '../../../src/errors';
import { readModelSpec } from '../../../src/model/architecture';
import { CHECKPOINT_CASES } from '../../support/checkpoint_cases';
import { readModelFixture } from '../../support/checkpoint_forms';
import { asRepository } from '../../support/hugging_face';
import { writeSafetensors } from '../../support/safetensors_writer';
import { openRepository as open, valuesIn } from '../../support/same_model';

describe('the modules of sentence-transformers', () => {
  const dense = (rows: number, cols: number) =>
    writeSafetensors({
      'linear.weight': {
        dtype: 'F32',
        shape: [rows, cols],
        data: new Uint8Array(Float32Array.from({ length: rows * cols }, (_, i) => i / 64).buffer),
      },
    });
  const module = (type: string, path: string) => ({ type: `sentence_transformers.models.${type}`, path });
  const identity = { bias: false, activation_function: 'torch.nn.modules.linear.Identity' };

  async function repository(changes: Record<string, Uint8Array<ArrayBuffer> | string> = {}) {
    const fixture = await readModelFixture('gemma-embedding');
    const { files: _, ...checkpoint } = CHECKPOINT_CASES['EmbeddingGemma'].checkpoint(fixture);
    return {
      ...asRepository(fixture, checkpoint),
      'modules.json': JSON.stringify([
        module('Transformer', ''),
        module('Pooling', '1_Pooling'),
        module('Dense', '2_Dense'),
        module('Dense', '3_Dense'),
        module('Normalize', '4_Normalize'),
      ]),
      '1_Pooling/config.json': '{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}',
      '2_Dense/config.json': JSON.stringify({ in_features: 64, out_features: 96, ...identity }),
      '2_Dense/model.safetensors': dense(96, 64),
      '3_Dense/config.json': JSON.stringify({ in_features: 96, out_features: 32, ...identity }),
      '3_Dense/model.safetensors': dense(32, 96),
      ...changes,
    };
  }

  it('are the pooling and the matmuls behind it', async () => {
    const source = await open(await repository());
    expect(source.gguf.metadata.get('gemma-embedding.pooling_type')?.value).toBe(1);
    expect(source.gguf.tensors.get('dense_2.weight')?.shape).toEqual([64, 96]);
    expect(source.gguf.tensors.get('dense_3.weight')?.shape).toEqual([96, 32]);
    expect((await valuesIn(source, 'dense_3.weight'))[65]).toBe(65 / 64);
    readModelSpec(source.gguf, 256, 2 ** 30);
  });

  it.each([
    [{ 'modules.json': JSON.stringify([module('LSTM', '2_LSTM')]) }, UnsupportedModelError, /models\.LSTM/],
    [{ 'modules.json': JSON.stringify([module('Dense', '../secret')]) }, InvalidFileError, /not the name of a folder/],
    [
      { '2_Dense/config.json': JSON.stringify({ in_features: 64, out_features: 96, bias: true }) },
      UnsupportedModelError,
      /bias = true/,
    ],
    [
      {
        '2_Dense/config.json':
          '{"in_features": 64, "out_features": 96, "activation_function": "torch.nn.modules.activation.Tanh"}',
      },
      UnsupportedModelError,
      /Tanh/,
    ],
    [{ '2_Dense/model.safetensors': dense(64, 64) }, InvalidFileError, /\[64, 64\], expected \[96, 64\]/],
    [{ '1_Pooling/config.json': '{"pooling_mode_max_tokens": true}' }, UnsupportedModelError, /max_tokens/],
  ])('%j is refused', async (changes, kind, message) => {
    const files = await repository(changes);
    await expect(open(files)).rejects.toThrow(kind);
    await expect(open(files)).rejects.toThrow(message);
  });
});
