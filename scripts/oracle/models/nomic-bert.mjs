import { FFN, HEADS, HIDDEN } from '../decoder.mjs';
import { encoderMetadata, prompt } from '../encoder.mjs';
import { Tensors, VOCAB_SIZE } from '../model.mjs';

const seed = 310;
const t = new Tensors(seed);
const norm = (name) => {
  t.norm(name, HIDDEN);
  t.bias(name, HIDDEN);
};
t.add('token_embd.weight', [HIDDEN, VOCAB_SIZE], 1);
norm('token_embd_norm');
t.add('token_types.weight', [HIDDEN, 2], 0.5);
for (let layer = 0; layer < 2; layer++) {
  const matrix = (name, cols, rows, gain) => t.matrix(`blk.${layer}.${name}`, cols, rows, gain);
  matrix('attn_qkv', HIDDEN, 3 * HIDDEN, 1.4);
  matrix('attn_output', HIDDEN, HIDDEN);
  norm(`blk.${layer}.attn_output_norm`);
  matrix('ffn_up', HIDDEN, FFN);
  matrix('ffn_down', FFN, HIDDEN, 2);
  matrix('ffn_gate', HIDDEN, FFN);
  norm(`blk.${layer}.layer_output_norm`);
}

export default {
  arch: 'nomic-bert',
  kind: 'embedding',
  note: 'RoPE of the split kind, gated SiLU networks, no biases but those of the norms; mean pooling',
  seed,
  prompt,
  metadata: encoderMetadata('nomic-bert', 'nomic-bert', {
    context_length: 256,
    embedding_length: HIDDEN,
    block_count: 2,
    feed_forward_length: FFN,
    'attention.head_count': HEADS,
    'attention.layer_norm_epsilon': 1e-12,
    'attention.causal': false,
    pooling_type: 1,
    'rope.freq_base': { type: 'f32', value: 1000 },
  }),
  tensors: t.all,
};
