import { FFN, HEADS, HIDDEN } from '../decoder.mjs';
import { encoderMetadata, prompt } from '../encoder.mjs';
import { Tensors, VOCAB_SIZE } from '../model.mjs';

const seed = 309;
const t = new Tensors(seed);
const norm = (name) => {
  t.norm(name, HIDDEN);
  t.bias(name, HIDDEN);
};
t.add('token_embd.weight', [HIDDEN, VOCAB_SIZE], 1);
norm('token_embd_norm');
t.add('token_types.weight', [HIDDEN, 2], 0.5);
t.add('position_embd.weight', [HIDDEN, 256], 0.5);
for (let layer = 0; layer < 2; layer++) {
  const matrix = (name, cols, rows, gain) => {
    t.matrix(`blk.${layer}.${name}`, cols, rows, gain);
    t.bias(`blk.${layer}.${name}`, rows);
  };
  matrix('attn_q', HIDDEN, HIDDEN, 1.5);
  matrix('attn_k', HIDDEN, HIDDEN, 1.5);
  matrix('attn_v', HIDDEN, HIDDEN);
  matrix('attn_output', HIDDEN, HIDDEN);
  norm(`blk.${layer}.attn_output_norm`);
  matrix('ffn_up', HIDDEN, FFN);
  matrix('ffn_down', FFN, HIDDEN, 2);
  norm(`blk.${layer}.layer_output_norm`);
}

export default {
  arch: 'bert',
  kind: 'embedding',
  note: 'the first token stands for the text',
  seed,
  prompt,
  metadata: encoderMetadata('bert', 'bert-cls', {
    context_length: 256,
    embedding_length: HIDDEN,
    block_count: 2,
    feed_forward_length: FFN,
    'attention.head_count': HEADS,
    'attention.layer_norm_epsilon': 1e-12,
    'attention.causal': false,
    pooling_type: 2,
  }),
  tensors: t.all,
};
