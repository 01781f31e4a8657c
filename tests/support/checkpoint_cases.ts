/** Families whose checkpoints have other orders of values or other names than Llama. */
import { type CheckpointCase, form, fusedGateUp, outermostFirst, rowsInOrder, transposed } from './checkpoint_forms';
import { type Fixture, LLAMA_CHECKPOINT_NAMES, type StoredForm, valuesOf } from './hugging_face';
import { RECURRENT_CHECKPOINTS } from './recurrent_checkpoints';
import { AROUND, heads, LAYER, numberOf, QK_NORMS, sizes } from './same_model';

const GPT2_LAYER = 'h.{l}';
const FALCON_LAYER = 'transformer.h.{l}';

const falconNames = {
  token_embd: 'transformer.word_embeddings',
  output_norm: 'transformer.ln_f',
  output: 'lm_head',
  'blk.{l}.attn_output': `${FALCON_LAYER}.self_attention.dense`,
  'blk.{l}.ffn_up': `${FALCON_LAYER}.mlp.dense_h_to_4h`,
  'blk.{l}.ffn_down': `${FALCON_LAYER}.mlp.dense_4h_to_h`,
};

function falconConfig(fixture: Fixture): Record<string, unknown> {
  return {
    model_type: 'falcon',
    hidden_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    ffn_hidden_size: 96,
    max_position_embeddings: 256,
    layer_norm_epsilon: numberOf(fixture, 'attention.layer_norm_epsilon'),
    alibi: false,
    parallel_attn: true,
  };
}

function gemma4Config(fixture: Fixture): Record<string, unknown> {
  return {
    ...sizes(fixture),
    model_type: 'gemma4_text',
    hidden_activation: 'gelu_pytorch_tanh',
    head_dim: 16,
    global_head_dim: 32,
    num_key_value_heads: 2,
    num_global_key_value_heads: 1,
    attention_k_eq_v: true,
    sliding_window: numberOf(fixture, 'attention.sliding_window'),
    final_logit_softcapping: 5,
    rope_parameters: {
      full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.5, rope_theta: 1_000_000 },
      sliding_attention: { rope_type: 'default', rope_theta: 10_000 },
    },
  };
}

const GEMMA4_FORMS: Readonly<Record<string, string>> = {
  'layer_output_scale.weight': 'layer_scalar',
  'ffn_gate_inp.scale': 'router.scale',
  'ffn_down_exps.scale': 'router.per_expert_scale',
  'ffn_gate_up_exps.weight': 'experts.gate_up_proj',
  'ffn_down_exps.weight': 'experts.down_proj',
};

export const CHECKPOINT_CASES: Record<string, CheckpointCase> = {
  'GPT-2, without the prefix of its head': {
    fixture: 'gpt2',
    checkpoint: (fixture) => ({
      names: {
        token_embd: 'wte',
        position_embd: 'wpe',
        output_norm: 'ln_f',
        'blk.{l}.attn_norm': `${GPT2_LAYER}.ln_1`,
        'blk.{l}.ffn_norm': `${GPT2_LAYER}.ln_2`,
        'blk.{l}.attn_qkv': `${GPT2_LAYER}.attn.c_attn`,
        'blk.{l}.attn_output': `${GPT2_LAYER}.attn.c_proj`,
        'blk.{l}.ffn_up': `${GPT2_LAYER}.mlp.c_fc`,
        'blk.{l}.ffn_down': `${GPT2_LAYER}.mlp.c_proj`,
      },
      config: {
        model_type: 'gpt2',
        activation_function: 'gelu_new',
        n_embd: 64,
        n_layer: 2,
        n_head: 4,
        n_positions: 256,
        n_inner: 96,
        layer_norm_epsilon: 1e-5,
      },
      forms(tensor, layer) {
        const name = /\.(attn_qkv|attn_output|ffn_up|ffn_down)\.weight$/.exec(tensor.name)?.[1];
        if (name === undefined) return undefined;
        const part = {
          attn_qkv: 'attn.c_attn',
          attn_output: 'attn.c_proj',
          ffn_up: 'mlp.c_fc',
          ffn_down: 'mlp.c_proj',
        }[name];
        const [cols, rows] = tensor.shape;
        return {
          [`h.${layer}.${part}.weight`]: form([cols, rows], transposed(valuesOf(fixture, tensor), rows, cols)),
          [`h.${layer}.attn.bias`]: form([1, 1, 2, 2], Float32Array.of(1, 0, 1, 1)),
        };
      },
    }),
  },
  'Falcon 7B': {
    fixture: 'falcon-7b',
    checkpoint: (fixture) => ({
      names: {
        ...falconNames,
        'blk.{l}.attn_norm': `${FALCON_LAYER}.input_layernorm`,
        'blk.{l}.attn_qkv': `${FALCON_LAYER}.self_attention.query_key_value`,
      },
      config: { ...falconConfig(fixture), new_decoder_architecture: false, multi_query: true },
    }),
  },
  'Falcon 40B: queries, key and value of each group': {
    fixture: 'falcon-40b',
    checkpoint: (fixture) => ({
      names: {
        ...falconNames,
        'blk.{l}.attn_norm': `${FALCON_LAYER}.ln_mlp`,
        'blk.{l}.attn_norm_2': `${FALCON_LAYER}.ln_attn`,
      },
      config: { ...falconConfig(fixture), new_decoder_architecture: true, num_kv_heads: 2 },
      forms(tensor, layer) {
        if (!tensor.name.endsWith('attn_qkv.weight')) return undefined;
        // 4 queries, 2 keys, 2 values of 16 rows.
        const order = [0, 1, 4, 6, 2, 3, 5, 7].flatMap((head) => Array.from({ length: 16 }, (_, i) => head * 16 + i));
        const name = `transformer.h.${layer}.self_attention.query_key_value.weight`;
        return { [name]: form(outermostFirst(tensor), rowsInOrder(valuesOf(fixture, tensor), order)) };
      },
    }),
  },
  'Granite with experts': {
    fixture: 'granitemoe',
    checkpoint: (fixture) => ({
      names: {
        ...LLAMA_CHECKPOINT_NAMES,
        'blk.{l}.ffn_gate_inp': `${LAYER}.block_sparse_moe.router.layer`,
        'blk.{l}.ffn_down_shexp': `${LAYER}.shared_mlp.output_linear`,
      },
      halves: heads(fixture),
      config: {
        model_type: 'granitemoeshared',
        ...sizes(fixture),
        num_local_experts: numberOf(fixture, 'expert_count'),
        num_experts_per_tok: numberOf(fixture, 'expert_used_count'),
        shared_intermediate_size: numberOf(fixture, 'expert_shared_feed_forward_length'),
        attention_multiplier: numberOf(fixture, 'attention.scale'),
        embedding_multiplier: numberOf(fixture, 'embedding_scale'),
        residual_multiplier: numberOf(fixture, 'residual_scale'),
        logits_scaling: numberOf(fixture, 'logit_scale'),
      },
      forms(tensor, layer) {
        const at = `model.layers.${layer}`;
        if (tensor.name.endsWith('ffn_down_exps.weight')) {
          const values = valuesOf(fixture, tensor);
          return { [`${at}.block_sparse_moe.output_linear.weight`]: form(outermostFirst(tensor), values) };
        }
        const part = tensor.name.includes('shexp') ? 'shared_mlp' : 'block_sparse_moe';
        return fusedGateUp(fixture, tensor, `${at}.${part}.input_linear.weight`);
      },
    }),
  },
  'Mistral 3 beside a vision tower': {
    fixture: 'mistral3',
    checkpoint: (fixture) => {
      const { tie_word_embeddings, ...text } = sizes(fixture);
      return {
        names: Object.fromEntries(
          Object.entries(LLAMA_CHECKPOINT_NAMES).map(([key, name]) => [key, `language_model.${name}`]),
        ),
        halves: heads(fixture),
        config: {
          model_type: 'mistral3',
          tie_word_embeddings,
          text_config: {
            model_type: 'ministral3',
            ...text,
            rope_parameters: {
              rope_type: 'yarn',
              rope_theta: 10_000,
              factor: 4,
              original_max_position_embeddings: 64,
              mscale: 1,
              mscale_all_dim: 0.5,
            },
          },
        },
        forms: (tensor, layer) =>
          tensor.name === 'output_norm.weight'
            ? {
                'language_model.model.norm.weight': form([64], valuesOf(fixture, tensor)),
                'vision_tower.patch.weight': form([1], Float32Array.of(Number(layer) + 1)),
              }
            : undefined,
      };
    },
  },
  'Gemma 4': {
    fixture: 'gemma4',
    checkpoint: (fixture) => ({
      names: {
        ...LLAMA_CHECKPOINT_NAMES,
        ...AROUND,
        ...QK_NORMS,
        per_layer_token_embd: 'model.embed_tokens_per_layer',
        per_layer_model_proj: 'model.per_layer_model_projection',
        per_layer_proj_norm: 'model.per_layer_projection_norm',
        'blk.{l}.inp_gate': `${LAYER}.per_layer_input_gate`,
        'blk.{l}.proj': `${LAYER}.per_layer_projection`,
        'blk.{l}.post_norm': `${LAYER}.post_per_layer_input_norm`,
      },
      without: /^rope_freqs/,
      config: {
        ...gemma4Config(fixture),
        num_kv_shared_layers: 2,
        layer_types: [0, 1, 2, 3, 4].map((layer) =>
          layer % 2 === 0 && layer > 0 ? 'full_attention' : 'sliding_attention',
        ),
        hidden_size_per_layer_input: 8,
      },
      forms(tensor, layer): Record<string, StoredForm> | undefined {
        if (!tensor.name.endsWith('layer_output_scale.weight')) return undefined;
        const scalar = { [`model.layers.${layer}.layer_scalar`]: form([1], valuesOf(fixture, tensor)) };
        // Of a layer that reads another one's keys.
        const unused = { 'model.layers.4.self_attn.k_proj.weight': form([2, 2], new Float32Array(4)) };
        return layer === '4' ? { ...scalar, ...unused } : scalar;
      },
    }),
  },
  'Gemma 4 with experts': {
    fixture: 'gemma4-moe',
    checkpoint: (fixture) => ({
      names: {
        ...LLAMA_CHECKPOINT_NAMES,
        ...AROUND,
        ...QK_NORMS,
        'blk.{l}.ffn_gate_inp': `${LAYER}.router.proj`,
        'blk.{l}.post_ffw_norm_1': `${LAYER}.post_feedforward_layernorm_1`,
        'blk.{l}.pre_ffw_norm_2': `${LAYER}.pre_feedforward_layernorm_2`,
        'blk.{l}.post_ffw_norm_2': `${LAYER}.post_feedforward_layernorm_2`,
      },
      without: /^rope_freqs/,
      config: {
        ...gemma4Config(fixture),
        enable_moe_block: true,
        num_experts: numberOf(fixture, 'expert_count'),
        top_k_experts: numberOf(fixture, 'expert_used_count'),
        moe_intermediate_size: numberOf(fixture, 'expert_feed_forward_length'),
        layer_types: ['sliding_attention', 'sliding_attention', 'full_attention'],
        hidden_size_per_layer_input: 0,
      },
      forms(tensor, layer): Record<string, StoredForm> | undefined {
        const name = GEMMA4_FORMS[tensor.name.replace(/^blk\.\d+\./, '')];
        if (!name) return undefined;
        return { [`model.layers.${layer}.${name}`]: form(outermostFirst(tensor), valuesOf(fixture, tensor)) };
      },
    }),
  },
  'nomic-bert': {
    fixture: 'nomic-bert',
    checkpoint: () => ({
      names: {
        token_embd: 'embeddings.word_embeddings',
        token_types: 'embeddings.token_type_embeddings',
        token_embd_norm: 'emb_ln',
        'blk.{l}.attn_qkv': 'encoder.layers.{l}.attn.Wqkv',
        'blk.{l}.attn_output': 'encoder.layers.{l}.attn.out_proj',
        'blk.{l}.attn_output_norm': 'encoder.layers.{l}.norm1',
        'blk.{l}.ffn_up': 'encoder.layers.{l}.mlp.fc11',
        'blk.{l}.ffn_gate': 'encoder.layers.{l}.mlp.fc12',
        'blk.{l}.ffn_down': 'encoder.layers.{l}.mlp.fc2',
        'blk.{l}.layer_output_norm': 'encoder.layers.{l}.norm2',
      },
      config: {
        model_type: 'nomic_bert',
        activation_function: 'swiglu',
        n_embd: 64,
        n_layer: 2,
        n_head: 4,
        n_inner: 96,
        n_positions: 8192,
        max_trained_positions: 256,
        layer_norm_epsilon: 1e-12,
        rotary_emb_base: 1000,
        rotary_emb_fraction: 1,
        rotary_emb_scale_base: null,
        prenorm: false,
        causal: false,
      },
      files: { '1_Pooling/config.json': '{"pooling_mode_mean_tokens": true}' },
    }),
  },
  EmbeddingGemma: {
    fixture: 'gemma-embedding',
    checkpoint: (fixture) => ({
      names: Object.fromEntries(
        Object.entries({ ...LLAMA_CHECKPOINT_NAMES, ...AROUND, ...QK_NORMS }).map(([key, name]) => [
          key,
          name.replace('model.', ''),
        ]),
      ),
      normsLessOne: true,
      config: {
        ...sizes(fixture),
        model_type: 'gemma3_text',
        hidden_activation: 'gelu_pytorch_tanh',
        use_bidirectional_attention: true,
        query_pre_attn_scalar: 16,
        sliding_window: numberOf(fixture, 'attention.sliding_window'),
      },
      files: { '1_Pooling/config.json': '{"pooling_mode_mean_tokens": true}' },
    }),
  },
  ...RECURRENT_CHECKPOINTS,
};
