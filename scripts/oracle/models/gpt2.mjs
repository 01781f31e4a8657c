import { decoderTensors, FFN, HEADS, HIDDEN } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 301;
const biases = ['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'];
const tensors = decoderTensors(seed, {
  kvHeads: HEADS,
  fused: true,
  biases,
  normBiases: true,
  ffnKind: 'plain',
  tied: true,
  tableGain: 0.3,
  extra: (t, layer) => layer === 0 && t.add('position_embd.weight', [HIDDEN, 256], 0.3),
});

export default {
  arch: 'gpt2',
  note: 'learned positions, layer norms and projections with biases, tied output',
  seed,
  metadata: metadata('gpt2', 'gpt2', {
    context_length: 256,
    embedding_length: HIDDEN,
    block_count: 2,
    feed_forward_length: FFN,
    'attention.head_count': HEADS,
    'attention.layer_norm_epsilon': 1e-5,
  }),
  tensors,
};
