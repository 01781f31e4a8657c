/** Families whose checkpoints have other orders of values than GGUF: fused, transposed, grouped by heads, in alternating rows, packed. */
import { describe, expect, it } from 'vitest';
import { UnsupportedModelError } from '../../../src/errors';
import { readModelSpec } from '../../../src/model/architecture';
import { CHECKPOINT_CASES } from '../../support/checkpoint_cases';
import { readModelFixture } from '../../support/checkpoint_forms';
import { asRepository, tokenizerJson } from '../../support/hugging_face';
import { writeSafetensors } from '../../support/safetensors_writer';
import { expectSameModel, openRepository as open, valuesIn } from '../../support/same_model';

describe('a checkpoint reads as the GGUF file that a converter makes of it:', () => {
  it.each(Object.keys(CHECKPOINT_CASES))('%s', async (name) => {
    const { fixture: file, checkpoint, differences } = CHECKPOINT_CASES[name];
    const fixture = await readModelFixture(file);
    const source = await open(asRepository(fixture, checkpoint(fixture)));
    await expectSameModel(fixture, source, differences);
    // And the architecture takes all of it.
    readModelSpec(source.gguf, 256, 2 ** 30);
  });
});

it('value heads of Qwen3.5 come in turns, one of each key head', async () => {
  const config = {
    model_type: 'qwen3_5_text',
    hidden_size: 4,
    intermediate_size: 4,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    linear_key_head_dim: 4,
    linear_value_head_dim: 4,
    linear_num_key_heads: 2,
    linear_num_value_heads: 6,
  };
  const data = new Uint8Array(Float32Array.from([1, 2, 3, 4, 5, 6], Math.log).buffer);
  const source = await open({
    'config.json': JSON.stringify(config),
    'tokenizer.json': tokenizerJson(8),
    'model.safetensors': writeSafetensors({ 'model.layers.0.linear_attn.A_log': { dtype: 'F32', shape: [6], data } }),
  });
  // Stored 1 2 3 share a key head, and 4 5 6.
  expect([...(await valuesIn(source, 'blk.0.ssm_a'))].map(Math.round)).toEqual([-1, -4, -2, -5, -3, -6]);
});

describe('what is not supported is refused by name:', () => {
  it.each([
    ['Falcon 7B', { alibi: true }, /alibi = true/],
    ['GPT-2, without the prefix of its head', { activation_function: 'relu' }, /activation_function = "relu"/],
    ['LFM2', { conv_bias: true }, /conv_bias = true/],
    ['LFM2', { layer_types: ['conv', 'mamba', 'full_attention', 'conv'] }, /layer_types\[1\] = "mamba"/],
    ['Gemma 4', { use_bidirectional_attention: 'all' }, /use_bidirectional_attention = "all"/],
    ['nomic-bert', { moe_every_n_layers: 2 }, /moe_every_n_layers = 2/],
    [
      'Granite with experts',
      { model_type: 'granitemoehybrid', layer_types: ['mamba', 'attention'] },
      /layer_types\[0\]/,
    ],
    ['Qwen3-Next: queries, keys, values and gates of each key head', { attn_output_gate: false }, /attn_output_gate/],
  ])('%s with %j', async (name, change, message) => {
    const { fixture: file, checkpoint } = CHECKPOINT_CASES[name];
    const fixture = await readModelFixture(file);
    const whole = checkpoint(fixture);
    const changed = { ...whole, config: { ...whole.config, ...change } };
    await expect(open(asRepository(fixture, changed))).rejects.toThrow(UnsupportedModelError);
    await expect(open(asRepository(fixture, changed))).rejects.toThrow(message);
  });
});
