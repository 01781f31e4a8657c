/** LFM2, Qwen3-Next and Qwen3.5 as checkpoints. */
import type { GgufTensor } from '../../src/formats/gguf/gguf';
import {
  type CheckpointCase,
  concatenated,
  form,
  outermostFirst,
  partner,
  rowsInOrder,
  stackedExperts,
  transposed,
} from './checkpoint_forms';
import { type Fixture, LLAMA_CHECKPOINT_NAMES, type StoredForm, valuesOf } from './hugging_face';
import { LAYER, numberOf, QK_NORMS, sizes } from './same_model';

const SHARED_EXPERT = {
  'blk.{l}.ffn_gate_inp': `${LAYER}.mlp.gate`,
  'blk.{l}.ffn_gate_inp_shexp': `${LAYER}.mlp.shared_expert_gate`,
  'blk.{l}.ffn_gate_shexp': `${LAYER}.mlp.shared_expert.gate_proj`,
  'blk.{l}.ffn_up_shexp': `${LAYER}.mlp.shared_expert.up_proj`,
  'blk.{l}.ffn_down_shexp': `${LAYER}.mlp.shared_expert.down_proj`,
};
const SEPARATE_EXPERTS = {
  'blk.{l}.ffn_gate_exps': `${LAYER}.mlp.experts.{e}.gate_proj`,
  'blk.{l}.ffn_up_exps': `${LAYER}.mlp.experts.{e}.up_proj`,
  'blk.{l}.ffn_down_exps': `${LAYER}.mlp.experts.{e}.down_proj`,
};

/** Value heads that share a key head stand together, and the GGUF file has them apart: 4 on 2 here. */
const STORED_HEADS = [0, 2, 1, 3];

const DELTA = `${LAYER}.linear_attn`;
const DELTA_NAMES = {
  ...LLAMA_CHECKPOINT_NAMES,
  ...QK_NORMS,
  'blk.{l}.post_attention_norm': `${LAYER}.post_attention_layernorm`,
  'blk.{l}.attn_gate': `${DELTA}.in_proj_z`,
  'blk.{l}.ssm_norm': `${DELTA}.norm`,
  'blk.{l}.ssm_out': `${DELTA}.out_proj`,
  'blk.{l}.ssm_ba': `${DELTA}.in_proj_ba`,
};

function deltaConfig(fixture: Fixture): Record<string, unknown> {
  const valueHeads = numberOf(fixture, 'ssm.time_step_rank');
  return {
    ...sizes(fixture),
    partial_rotary_factor: 0.5,
    linear_conv_kernel_dim: numberOf(fixture, 'ssm.conv_kernel'),
    linear_key_head_dim: numberOf(fixture, 'ssm.state_size'),
    linear_num_key_heads: numberOf(fixture, 'ssm.group_count'),
    linear_num_value_heads: valueHeads,
    linear_value_head_dim: numberOf(fixture, 'ssm.inner_size') / valueHeads,
    num_experts: numberOf(fixture, 'expert_count') || undefined,
    num_experts_per_tok: numberOf(fixture, 'expert_used_count') || undefined,
    moe_intermediate_size: numberOf(fixture, 'expert_feed_forward_length') || undefined,
    shared_expert_intermediate_size: numberOf(fixture, 'expert_shared_feed_forward_length') || undefined,
    layer_types: ['linear_attention', 'linear_attention', 'linear_attention', 'full_attention'],
  };
}

/** What the delta nets of all three families store as single parameters. */
function deltaForms(fixture: Fixture, tensor: GgufTensor, layer: string): Record<string, StoredForm> | undefined {
  const at = `model.layers.${layer}.linear_attn`;
  const values = valuesOf(fixture, tensor);
  if (tensor.name.endsWith('ssm_a'))
    return {
      [`${at}.A_log`]: form(
        [values.length],
        values.map((a) => Math.log(-a)),
      ),
    };
  if (tensor.name.endsWith('ssm_dt.bias')) return { [`${at}.dt_bias`]: form([values.length], values) };
  if (tensor.name.endsWith('ssm_conv1d.weight')) {
    return { [`${at}.conv1d.weight`]: form([tensor.shape[1], 1, tensor.shape[0]], values) };
  }
  if (tensor.name.endsWith('ssm_norm.weight')) return { [`${at}.norm.weight`]: form([values.length], values) };
  return undefined;
}

/** Qwen3.5: value heads in another order, in everything that has them. */
function tiledForms(fixture: Fixture, tensor: GgufTensor, layer: string): Record<string, StoredForm> | undefined {
  const at = `model.layers.${layer}.linear_attn`;
  const values = valuesOf(fixture, tensor);
  const shape = outermostFirst(tensor);
  const headDim = 16;
  const valueRows = (skip: number) => [
    ...Array.from({ length: skip }, (_, i) => i),
    ...STORED_HEADS.flatMap((head) => Array.from({ length: headDim }, (_, i) => skip + head * headDim + i)),
  ];
  const kind = tensor.name.replace(/^blk\.\d+\./, '');
  switch (kind) {
    case 'ssm_a':
    case 'ssm_dt.bias': {
      const [[name, stored]] = Object.entries(deltaForms(fixture, tensor, layer) ?? {});
      return { [name]: form(stored.shape, rowsInOrder(stored.values as Float32Array<ArrayBuffer>, STORED_HEADS)) };
    }
    case 'ssm_alpha.weight':
      return { [`${at}.in_proj_a.weight`]: form(shape, rowsInOrder(values, STORED_HEADS)) };
    case 'ssm_beta.weight':
      return { [`${at}.in_proj_b.weight`]: form(shape, rowsInOrder(values, STORED_HEADS)) };
    case 'attn_gate.weight':
      return { [`${at}.in_proj_z.weight`]: form(shape, rowsInOrder(values, valueRows(0))) };
    case 'attn_qkv.weight':
      return { [`${at}.in_proj_qkv.weight`]: form(shape, rowsInOrder(values, valueRows(64))) };
    case 'ssm_conv1d.weight':
      return { [`${at}.conv1d.weight`]: form([shape[0], 1, shape[1]], rowsInOrder(values, valueRows(64))) };
    case 'ssm_out.weight': {
      const columns = rowsInOrder(transposed(values, shape[0], shape[1]), valueRows(0));
      return { [`${at}.out_proj.weight`]: form(shape, transposed(columns, shape[1], shape[0])) };
    }
    default:
      return deltaForms(fixture, tensor, layer);
  }
}

const delta = { tolerance: (name: string) => (/norm|ssm_a$/.test(name) ? 3e-7 : 0) };

const qwen35Rope = {
  partial_rotary_factor: undefined,
  rope_theta: undefined,
  rope_parameters: {
    rope_type: 'default',
    rope_theta: 10_000,
    partial_rotary_factor: 0.5,
    mrope_section: [2, 1, 1],
    mrope_interleaved: true,
  },
};

function inLanguageModel(forms: Record<string, StoredForm> | undefined): Record<string, StoredForm> | undefined {
  return (
    forms &&
    Object.fromEntries(
      Object.entries(forms).map(([name, stored]) => [name.replace('model.', 'model.language_model.'), stored]),
    )
  );
}

export const RECURRENT_CHECKPOINTS: Record<string, CheckpointCase> = {
  LFM2: {
    fixture: 'lfm2',
    checkpoint: (fixture) => ({
      names: {
        token_embd: 'model.embed_tokens',
        token_embd_norm: 'model.embedding_norm',
        'blk.{l}.attn_norm': `${LAYER}.operator_norm`,
        'blk.{l}.ffn_norm': `${LAYER}.ffn_norm`,
        'blk.{l}.attn_q': `${LAYER}.self_attn.q_proj`,
        'blk.{l}.attn_k': `${LAYER}.self_attn.k_proj`,
        'blk.{l}.attn_v': `${LAYER}.self_attn.v_proj`,
        'blk.{l}.attn_output': `${LAYER}.self_attn.out_proj`,
        'blk.{l}.attn_q_norm': `${LAYER}.self_attn.q_layernorm`,
        'blk.{l}.attn_k_norm': `${LAYER}.self_attn.k_layernorm`,
        'blk.{l}.shortconv.in_proj': `${LAYER}.conv.in_proj`,
        'blk.{l}.shortconv.out_proj': `${LAYER}.conv.out_proj`,
        'blk.{l}.ffn_gate': `${LAYER}.feed_forward.w1`,
        'blk.{l}.ffn_up': `${LAYER}.feed_forward.w3`,
        'blk.{l}.ffn_down': `${LAYER}.feed_forward.w2`,
      },
      config: {
        ...sizes(fixture),
        model_type: 'lfm2',
        head_dim: undefined,
        num_key_value_heads: 2,
        norm_eps: 1e-5,
        conv_L_cache: 3,
        conv_bias: false,
        // 2/3 of it, rounded up to a multiple of 32.
        intermediate_size: 130,
        block_auto_adjust_ff_dim: true,
        block_ffn_dim_multiplier: 1,
        block_multiple_of: 32,
        layer_types: ['conv', 'conv', 'full_attention', 'conv'],
      },
      forms(tensor, layer) {
        if (!tensor.name.endsWith('shortconv.conv.weight')) return undefined;
        const [width, channels] = tensor.shape;
        return { [`model.layers.${layer}.conv.conv.weight`]: form([channels, 1, width], valuesOf(fixture, tensor)) };
      },
    }),
  },
  'Qwen3-Next: queries, keys, values and gates of each key head': {
    fixture: 'qwen3next',
    differences: delta,
    checkpoint: (fixture) => ({
      names: { ...DELTA_NAMES, ...SHARED_EXPERT, ...SEPARATE_EXPERTS },
      normsLessOne: true,
      config: { model_type: 'qwen3_next', ...deltaConfig(fixture), norm_topk_prob: true },
      forms(tensor, layer) {
        if (tensor.name.endsWith('attn_gate.weight')) return {};
        if (!tensor.name.endsWith('attn_qkv.weight')) return deltaForms(fixture, tensor, layer);
        const qkv = valuesOf(fixture, tensor);
        const z = partner(fixture, tensor.name.replace('attn_qkv', 'attn_gate'));
        const rows = (values: Float32Array<ArrayBuffer>, from: number, count: number) =>
          values.slice(from * 64, (from + count) * 64);
        const groups = [0, 1].map((head) =>
          concatenated([
            rows(qkv, head * 16, 16),
            rows(qkv, 32 + head * 16, 16),
            rows(qkv, 64 + head * 32, 32),
            rows(z, head * 32, 32),
          ]),
        );
        return { [`model.layers.${layer}.linear_attn.in_proj_qkvz.weight`]: form([192, 64], concatenated(groups)) };
      },
    }),
  },
  'Qwen3.5, with guessing heads beside it': {
    fixture: 'qwen35',
    differences: delta,
    checkpoint: (fixture) => ({
      names: Object.fromEntries(
        Object.entries(DELTA_NAMES).map(([key, name]) => [key, name.replace('model.', 'model.language_model.')]),
      ),
      normsLessOne: true,
      config: { model_type: 'qwen3_5', text_config: { ...deltaConfig(fixture), ...qwen35Rope } },
      forms: (tensor, layer) =>
        tensor.name === 'token_embd.weight'
          ? {
              'model.language_model.embed_tokens.weight': form(outermostFirst(tensor), valuesOf(fixture, tensor)),
              'mtp.fc.weight': form([1], Float32Array.of(1)),
              'model.visual.patch_embed.proj.weight': form([1], Float32Array.of(1)),
            }
          : inLanguageModel(tiledForms(fixture, tensor, layer)),
    }),
  },
  'Qwen3.5 with stacked experts': {
    fixture: 'qwen35moe',
    differences: { ...delta, keys: /\.feed_forward_length$/ },
    checkpoint: (fixture) => ({
      names: { ...DELTA_NAMES, ...SHARED_EXPERT },
      normsLessOne: true,
      config: {
        model_type: 'qwen3_5_moe_text',
        ...deltaConfig(fixture),
        ...qwen35Rope,
        intermediate_size: undefined,
      },
      forms: (tensor, layer) => stackedExperts(fixture, tensor, layer) ?? tiledForms(fixture, tensor, layer),
    }),
  },
};
