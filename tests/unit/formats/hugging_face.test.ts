import { describe, expect, it } from 'vitest';
import { InvalidFileError, SourceError, UnsupportedModelError } from '../../../src/errors';
import type { GgufTensor } from '../../../src/formats/gguf/gguf';
import {
  asRepository,
  type Checkpoint,
  type Fixture,
  LLAMA_CHECKPOINT,
  LLAMA_CHECKPOINT_NAMES,
  readFixture,
  storedTensors,
  tokenizerJson,
  valuesOf,
} from '../../support/hugging_face';
import { type WrittenFiles, writeSafetensors } from '../../support/safetensors_writer';
import {
  AROUND,
  expectSameModel,
  heads,
  LAYER,
  numberOf,
  openRepository as open,
  QK_NORMS,
  sizes,
} from '../../support/same_model';

/** How transformers would store each fixture. */
const CHECKPOINTS: Record<string, (fixture: Fixture) => Checkpoint> = {
  'llama-gqa': (fixture) => ({
    names: LLAMA_CHECKPOINT_NAMES,
    halves: heads(fixture),
    config: { model_type: 'llama', ...sizes(fixture) },
  }),
  gemma: (fixture) => ({
    names: LLAMA_CHECKPOINT_NAMES,
    normsLessOne: true,
    config: { model_type: 'gemma', ...sizes(fixture), hidden_act: 'gelu_pytorch_tanh' },
  }),
  gemma2: (fixture) => ({
    names: { ...LLAMA_CHECKPOINT_NAMES, ...AROUND },
    normsLessOne: true,
    config: {
      model_type: 'gemma2',
      ...sizes(fixture),
      hidden_activation: 'gelu_pytorch_tanh',
      query_pre_attn_scalar: numberOf(fixture, 'rope.dimension_count'),
      attn_logit_softcapping: numberOf(fixture, 'attn_logit_softcapping'),
      final_logit_softcapping: numberOf(fixture, 'final_logit_softcapping'),
      sliding_window: numberOf(fixture, 'attention.sliding_window'),
    },
  }),
  granite: (fixture) => ({
    names: LLAMA_CHECKPOINT_NAMES,
    halves: heads(fixture),
    config: {
      model_type: 'granite',
      ...sizes(fixture),
      attention_multiplier: numberOf(fixture, 'attention.scale'),
      embedding_multiplier: numberOf(fixture, 'embedding_scale'),
      residual_multiplier: numberOf(fixture, 'residual_scale'),
      logits_scaling: numberOf(fixture, 'logit_scale'),
    },
  }),
  smollm3: (fixture) => ({
    names: LLAMA_CHECKPOINT_NAMES,
    halves: heads(fixture),
    config: {
      model_type: 'smollm3',
      ...sizes(fixture),
      no_rope_layers: [1, 1, 1, 0, 1].slice(0, numberOf(fixture, 'block_count')),
    },
  }),
  'qwen2-yarn': (fixture) => ({
    names: LLAMA_CHECKPOINT_NAMES,
    config: {
      model_type: 'qwen2',
      ...sizes(fixture),
      rope_scaling: {
        rope_type: 'yarn',
        factor: numberOf(fixture, 'rope.scaling.factor'),
        original_max_position_embeddings: numberOf(fixture, 'rope.scaling.original_context_length'),
      },
    },
  }),
  'phi3-long': (fixture) => ({
    names: {
      ...LLAMA_CHECKPOINT_NAMES,
      'blk.{l}.attn_qkv': `${LAYER}.self_attn.qkv_proj`,
      'blk.{l}.ffn_up': `${LAYER}.mlp.gate_up_proj`,
    },
    without: /^rope_factors/,
    config: {
      model_type: 'phi3',
      ...sizes(fixture),
      sliding_window: numberOf(fixture, 'attention.sliding_window'),
      original_max_position_embeddings: numberOf(fixture, 'rope.scaling.original_context_length'),
      rope_scaling: {
        type: 'longrope',
        long_factor: factors(fixture, 'long'),
        short_factor: factors(fixture, 'short'),
        attention_factor: numberOf(fixture, 'rope.scaling.attn_factor'),
      },
    },
  }),
  'olmo3-yarn': (fixture) => ({
    names: { ...LLAMA_CHECKPOINT_NAMES, ...AROUND, ...QK_NORMS },
    config: {
      model_type: 'olmo3',
      ...sizes(fixture),
      sliding_window: numberOf(fixture, 'attention.sliding_window'),
      rope_scaling: {
        rope_type: 'yarn',
        factor: numberOf(fixture, 'rope.scaling.factor'),
        original_max_position_embeddings: numberOf(fixture, 'rope.scaling.original_context_length'),
      },
    },
  }),
};

/** An expert of a layer. */
const EXPERTS = {
  'blk.{l}.ffn_gate_inp': `${LAYER}.mlp.gate`,
  'blk.{l}.ffn_gate_exps': `${LAYER}.mlp.experts.{e}.gate_proj`,
  'blk.{l}.ffn_up_exps': `${LAYER}.mlp.experts.{e}.up_proj`,
  'blk.{l}.ffn_down_exps': `${LAYER}.mlp.experts.{e}.down_proj`,
};

Object.assign(CHECKPOINTS, {
  mixtral: (fixture) => ({
    names: {
      ...LLAMA_CHECKPOINT_NAMES,
      'blk.{l}.ffn_gate_inp': `${LAYER}.block_sparse_moe.gate`,
      'blk.{l}.ffn_gate_exps': `${LAYER}.block_sparse_moe.experts.{e}.w1`,
      'blk.{l}.ffn_down_exps': `${LAYER}.block_sparse_moe.experts.{e}.w2`,
      'blk.{l}.ffn_up_exps': `${LAYER}.block_sparse_moe.experts.{e}.w3`,
    },
    halves: heads(fixture),
    config: {
      model_type: 'mixtral',
      ...sizes(fixture),
      num_local_experts: numberOf(fixture, 'expert_count'),
      num_experts_per_tok: numberOf(fixture, 'expert_used_count'),
    },
  }),
  qwen2moe: (fixture) => ({
    names: {
      ...LLAMA_CHECKPOINT_NAMES,
      ...EXPERTS,
      'blk.{l}.ffn_gate_inp_shexp': `${LAYER}.mlp.shared_expert_gate`,
      'blk.{l}.ffn_gate_shexp': `${LAYER}.mlp.shared_expert.gate_proj`,
      'blk.{l}.ffn_up_shexp': `${LAYER}.mlp.shared_expert.up_proj`,
      'blk.{l}.ffn_down_shexp': `${LAYER}.mlp.shared_expert.down_proj`,
    },
    config: {
      model_type: 'qwen2_moe',
      ...sizes(fixture),
      num_experts: numberOf(fixture, 'expert_count'),
      num_experts_per_tok: numberOf(fixture, 'expert_used_count'),
      moe_intermediate_size: numberOf(fixture, 'expert_feed_forward_length'),
      shared_expert_intermediate_size: numberOf(fixture, 'expert_shared_feed_forward_length'),
    },
  }),
  olmoe: (fixture) => ({
    names: { ...LLAMA_CHECKPOINT_NAMES, ...EXPERTS, ...QK_NORMS },
    config: {
      model_type: 'olmoe',
      ...sizes(fixture),
      num_experts: numberOf(fixture, 'expert_count'),
      num_experts_per_tok: numberOf(fixture, 'expert_used_count'),
    },
  }),
  starcoder2: (fixture) => ({
    names: {
      ...LLAMA_CHECKPOINT_NAMES,
      'blk.{l}.ffn_up': `${LAYER}.mlp.c_fc`,
      'blk.{l}.ffn_down': `${LAYER}.mlp.c_proj`,
    },
    config: { model_type: 'starcoder2', ...sizes(fixture), hidden_act: 'gelu_pytorch_tanh' },
  }),
  cohere2: (fixture) => ({
    names: LLAMA_CHECKPOINT_NAMES,
    config: {
      model_type: 'cohere2',
      ...sizes(fixture),
      logit_scale: numberOf(fixture, 'logit_scale'),
      sliding_window: numberOf(fixture, 'attention.sliding_window'),
    },
  }),
  stablelm: (fixture) => ({
    names: LLAMA_CHECKPOINT_NAMES,
    config: { model_type: 'stablelm', ...sizes(fixture), partial_rotary_factor: 0.25 },
  }),
  'stablelm-12b': (fixture) => ({
    names: {
      ...LLAMA_CHECKPOINT_NAMES,
      'blk.{l}.attn_q_norm': `${LAYER}.self_attn.q_layernorm.norms.{e}`,
      'blk.{l}.attn_k_norm': `${LAYER}.self_attn.k_layernorm.norms.{e}`,
    },
    config: { model_type: 'stablelm', ...sizes(fixture), partial_rotary_factor: 0.25, use_parallel_residual: true },
  }),
  'bert-cls': (fixture) => {
    const layer = 'bert.encoder.layer.{l}';
    return {
      names: {
        token_embd: 'bert.embeddings.word_embeddings',
        position_embd: 'bert.embeddings.position_embeddings',
        token_types: 'bert.embeddings.token_type_embeddings',
        token_embd_norm: 'bert.embeddings.LayerNorm',
        'blk.{l}.attn_q': `${layer}.attention.self.query`,
        'blk.{l}.attn_k': `${layer}.attention.self.key`,
        'blk.{l}.attn_v': `${layer}.attention.self.value`,
        'blk.{l}.attn_output': `${layer}.attention.output.dense`,
        'blk.{l}.attn_output_norm': `${layer}.attention.output.LayerNorm`,
        'blk.{l}.ffn_up': `${layer}.intermediate.dense`,
        'blk.{l}.ffn_down': `${layer}.output.dense`,
        'blk.{l}.layer_output_norm': `${layer}.output.LayerNorm`,
      },
      config: { model_type: 'bert', ...sizes(fixture), hidden_act: 'gelu' },
      files: { '1_Pooling/config.json': '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}' },
    };
  },
} satisfies typeof CHECKPOINTS);

function factors(fixture: Fixture, which: string): number[] {
  const tensor = fixture.gguf.tensors.get(`rope_factors_${which}.weight`) as GgufTensor;
  return [...valuesOf(fixture, tensor)];
}

describe('a checkpoint', () => {
  it.each(Object.keys(CHECKPOINTS))('of %s reads as the GGUF file that a converter makes of it', async (name) => {
    const fixture = await readFixture(`tests/fixtures/models/${name}.gguf`);
    await expectSameModel(fixture, await open(asRepository(fixture, CHECKPOINTS[name](fixture))));
  });

  it('in several files with an index is one model, streamed in any pieces', async () => {
    const fixture = await readFixture('tests/fixtures/models/llama-gqa.gguf');
    const tensors = Object.entries(storedTensors(fixture, LLAMA_CHECKPOINT));
    const shards = [tensors.slice(0, 9), tensors.slice(9)];
    const shardName = (i: number) => `model-0000${i + 1}-of-00002.safetensors`;
    const files: Record<string, Uint8Array<ArrayBuffer> | string> = {
      'config.json': JSON.stringify(LLAMA_CHECKPOINT.config),
      'tokenizer.json': tokenizerJson(512),
      'model.safetensors.index.json': JSON.stringify({
        metadata: { total_size: 1 },
        weight_map: Object.fromEntries(shards.flatMap((shard, i) => shard.map(([name]) => [name, shardName(i)]))),
      }),
    };
    shards.forEach((shard, i) => {
      files[shardName(i)] = writeSafetensors(Object.fromEntries(shard));
    });
    const whole = await open(asRepository(fixture, LLAMA_CHECKPOINT));
    const source = await open(files, 'model.safetensors.index.json');
    const q = source.gguf.tensors.get('blk.1.attn_q.weight') as GgufTensor;
    const all = await source.read(q.offset, q.byteLength);
    const same = whole.gguf.tensors.get('blk.1.attn_q.weight') as GgufTensor;
    expect(Buffer.compare(all, await whole.read(same.offset, same.byteLength))).toBe(0);
    const pieces: Uint8Array[] = [];
    for await (const piece of source.stream(q.offset + 777, 5000)) pieces.push(piece.slice());
    expect(Buffer.compare(Buffer.concat(pieces), all.subarray(777, 5777))).toBe(0);

    const index = JSON.parse(files['model.safetensors.index.json'] as string) as { weight_map: Record<string, string> };
    const broken = (change: (map: Record<string, string>) => void) => {
      const weight_map = { ...index.weight_map };
      change(weight_map);
      return open(
        { ...files, 'model.safetensors.index.json': JSON.stringify({ weight_map }) },
        'model.safetensors.index.json',
      );
    };
    await expect(broken((map) => delete map['lm_head.weight'])).rejects.toThrow(/lm_head\.weight.*no file/);
    await expect(broken((map) => Object.assign(map, { extra: shardName(0) }))).rejects.toThrow(
      /extra.*not in model-00001/,
    );
    for (const bad of ['../secret.safetensors', 'a/b.safetensors', 'model.bin']) {
      await expect(broken((map) => Object.assign(map, { extra: bad }))).rejects.toThrow(InvalidFileError);
    }
    const { [shardName(1)]: _, ...rest } = files;
    await expect(open(rest, 'model.safetensors.index.json')).rejects.toThrow(SourceError);
    await expect(open(rest, 'model.safetensors.index.json')).rejects.toThrow(shardName(1));
  });

  it('stacks the experts of a layer', async () => {
    const matrix = (value: number) => ({
      dtype: 'F32',
      shape: [2, 4],
      data: new Uint8Array(new Float32Array(8).fill(value).buffer),
    });
    const expert = (e: number, name: string) => `model.layers.0.mlp.experts.${e}.${name}.weight`;
    const config = {
      model_type: 'olmoe',
      hidden_act: 'silu',
      hidden_size: 4,
      intermediate_size: 2,
      num_hidden_layers: 1,
      num_attention_heads: 1,
      max_position_embeddings: 8,
      num_experts: 3,
      num_experts_per_tok: 2,
    };
    const files = (names: readonly number[]): WrittenFiles => ({
      'config.json': JSON.stringify(config),
      'tokenizer.json': tokenizerJson(8),
      'model.safetensors': writeSafetensors(Object.fromEntries(names.map((e) => [expert(e, 'gate_proj'), matrix(e)]))),
    });
    const stacked = await open(files([2, 0, 1]));
    const gate = stacked.gguf.tensors.get('blk.0.ffn_gate_exps.weight') as GgufTensor;
    expect(gate.shape).toEqual([4, 2, 3]);
    const values = new Float32Array((await stacked.read(gate.offset, gate.byteLength)).slice().buffer);
    expect([...values]).toEqual([...Array(8).fill(0), ...Array(8).fill(1), ...Array(8).fill(2)]);
    await expect(open(files([0, 2]))).rejects.toThrow(/expert 1 .* is missing/);
  });

  it('with Llama 3.1 RoPE has the factors as a tensor', async () => {
    const fixture = await readFixture('tests/fixtures/models/llama-gqa.gguf');
    const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
    const rope_scaling = { ...scaling, original_max_position_embeddings: 64 };
    const source = await open(
      asRepository(fixture, { ...LLAMA_CHECKPOINT, config: { ...LLAMA_CHECKPOINT.config, rope_scaling } }),
    );
    const tensor = source.gguf.tensors.get('rope_freqs.weight') as GgufTensor;
    const values = new Float32Array((await source.read(tensor.offset, tensor.byteLength)).slice().buffer);
    // Wavelengths 2π·10^(i/2): below 64 / 4 as they are, above 64 eight times longer, in between a blend.
    expect(values[0]).toBe(1);
    expect(values[1]).toBeGreaterThan(1);
    expect(values[1]).toBeLessThan(8);
    expect([...values.subarray(3)]).toEqual([8, 8, 8, 8, 8]);
  });
});

describe('what is not supported is refused by name', () => {
  const refuse = async (change: Readonly<Record<string, unknown>>) => {
    const fixture = await readFixture('tests/fixtures/models/llama-gqa.gguf');
    const config = { ...LLAMA_CHECKPOINT.config, ...change };
    return open(asRepository(fixture, { ...LLAMA_CHECKPOINT, config }));
  };

  it.each([
    [{ model_type: 'mamba' }, UnsupportedModelError, /"mamba"/],
    [{ hidden_act: 'relu' }, UnsupportedModelError, /hidden_act = "relu"/],
    [{ rope_scaling: { rope_type: 'dynamic', factor: 2 } }, UnsupportedModelError, /"dynamic"/],
    [{ rope_scaling: { rope_type: 'yarn', factor: 2, beta_fast: 64 } }, UnsupportedModelError, /beta_fast = 64/],
    [{ quantization_config: { quant_method: 'gptq' } }, UnsupportedModelError, /"gptq"/],
    [{ hidden_size: '64' }, InvalidFileError, /"hidden_size": expected a positive integer, found "64"/],
    [{ num_hidden_layers: undefined }, InvalidFileError, /"num_hidden_layers".*nothing/],
    [{ num_hidden_layers: -1 }, InvalidFileError, /"num_hidden_layers"/],
    [{ rope_theta: 'much' }, InvalidFileError, /"rope_theta"/],
  ])('%j', async (change, kind, message) => {
    await expect(refuse(change)).rejects.toThrow(kind);
    await expect(refuse(change)).rejects.toThrow(message);
  });

  it('a tensor, a dtype, a missing head, a missing file', async () => {
    const fixture = await readFixture('tests/fixtures/models/llama-gqa.gguf');
    const files = asRepository(fixture, LLAMA_CHECKPOINT);
    const tensors = storedTensors(fixture, LLAMA_CHECKPOINT);
    const withTensors = (changed: typeof tensors) => open({ ...files, 'model.safetensors': writeSafetensors(changed) });
    const one = tensors['model.norm.weight'];
    await expect(withTensors({ ...tensors, 'model.layers.0.mystery.weight': one })).rejects.toThrow(/mystery\.weight/);
    const eight = { dtype: 'F8_E4M3', shape: [64], data: new Uint8Array(64) };
    await expect(withTensors({ ...tensors, 'model.norm.weight': eight })).rejects.toThrow(
      /model\.norm\.weight.*F8_E4M3/,
    );
    const { 'lm_head.weight': _, ...headless } = tensors;
    await expect(withTensors(headless)).rejects.toThrow(/lm_head\.weight.*missing/);
    for (const file of ['config.json', 'tokenizer.json']) {
      const { [file]: _, ...rest } = files as Record<string, string>;
      await expect(open(rest)).rejects.toThrow(`${file} is missing`);
    }
    const twice = '{"model_type": "llama", "model_type": "qwen2"}';
    await expect(open({ ...files, 'config.json': twice })).rejects.toThrow(/"model_type" is there twice/);
  });
});
