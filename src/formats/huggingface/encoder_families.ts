/** Encoders: BERT and nomic-bert. EmbeddingGemma stands with Gemma. */
import type { Config } from './config';
import type { Family } from './family';
import type { Metadata } from './metadata';

export const bert: Family = {
  architecture: 'bert',
  activations: ['gelu'],
  names: {
    'embeddings.word_embeddings': 'token_embd',
    'embeddings.position_embeddings': 'position_embd',
    'embeddings.token_type_embeddings': 'token_types',
    'embeddings.LayerNorm': 'token_embd_norm',
    'encoder.layer.{l}.attention.self.query': 'blk.{l}.attn_q',
    'encoder.layer.{l}.attention.self.key': 'blk.{l}.attn_k',
    'encoder.layer.{l}.attention.self.value': 'blk.{l}.attn_v',
    'encoder.layer.{l}.attention.output.dense': 'blk.{l}.attn_output',
    'encoder.layer.{l}.attention.output.LayerNorm': 'blk.{l}.attn_output_norm',
    'encoder.layer.{l}.intermediate.dense': 'blk.{l}.ffn_up',
    'encoder.layer.{l}.output.dense': 'blk.{l}.ffn_down',
    'encoder.layer.{l}.output.LayerNorm': 'blk.{l}.layer_output_norm',
  },
  headless: true,
  ignores: (name) => /^(?:bert\.)?(?:pooler\.|embeddings\.position_ids$)|^cls\./.test(name),
  describe(config, metadata) {
    config.expect('position_embedding_type', ['absolute']);
    metadata.u32('block_count', config.integer('num_hidden_layers'));
    metadata.u32('context_length', config.integer('max_position_embeddings'));
    metadata.u32('embedding_length', config.integer('hidden_size'));
    metadata.u32('feed_forward_length', config.integer('intermediate_size'));
    metadata.u32('attention.head_count', config.integer('num_attention_heads'));
    metadata.f32('attention.layer_norm_epsilon', config.real('layer_norm_eps', 1e-12));
    metadata.bool('attention.causal', false);
    return [];
  },
};

/** nomic-embed-text 1 and 1.5: RoPE in place of positions, gated networks. Its configurations have GPT-2's keys. */
export const nomicBert: Family = {
  architecture: 'nomic-bert',
  activations: ['swiglu'],
  activationKey: 'activation_function',
  headless: true,
  names: {
    'embeddings.word_embeddings': 'token_embd',
    'embeddings.token_type_embeddings': 'token_types',
    emb_ln: 'token_embd_norm',
    'encoder.layers.{l}.attn.Wqkv': 'blk.{l}.attn_qkv',
    'encoder.layers.{l}.attn.out_proj': 'blk.{l}.attn_output',
    'encoder.layers.{l}.norm1': 'blk.{l}.attn_output_norm',
    'encoder.layers.{l}.mlp.fc11': 'blk.{l}.ffn_up',
    'encoder.layers.{l}.mlp.fc12': 'blk.{l}.ffn_gate',
    'encoder.layers.{l}.mlp.fc2': 'blk.{l}.ffn_down',
    'encoder.layers.{l}.norm2': 'blk.{l}.layer_output_norm',
  },
  describe: describeNomicBert,
};

/** What the published models say of the many forms that the configuration knows. */
const NOMIC_FORM: readonly (readonly [key: string, value: boolean | number])[] = [
  ['prenorm', false],
  ['causal', false],
  ['parallel_block', false],
  ['use_rms_norm', false],
  ['rotary_emb_fraction', 1],
  ['rotary_emb_interleaved', false],
  ['moe_every_n_layers', 0],
];

function describeNomicBert(config: Config, metadata: Metadata): readonly [] {
  for (const [key, value] of NOMIC_FORM) config.expect(key, [value]);
  config.expect('rotary_emb_scale_base', []);
  metadata.u32('block_count', config.integer('n_layer'));
  // Beyond the positions that it was trained on, the model stretches its angles as it goes.
  const trained = config.integer('max_trained_positions', 2048);
  metadata.u32('context_length', Math.min(config.integer('n_positions'), trained));
  metadata.u32('embedding_length', config.integer('n_embd'));
  metadata.u32('feed_forward_length', config.integer('n_inner'));
  metadata.u32('attention.head_count', config.integer('n_head'));
  metadata.f32('attention.layer_norm_epsilon', config.real('layer_norm_epsilon', 1e-12));
  metadata.bool('attention.causal', false);
  metadata.f32('rope.freq_base', config.real('rotary_emb_base', 10_000));
  return [];
}
