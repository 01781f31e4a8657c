import { FFN, HEAD_DIM, HEADS, HIDDEN, KV_HEADS } from '../decoder.mjs';
import { integers } from '../gguf.mjs';
import { metadata, Tensors } from '../model.mjs';

const seed = 401;
const layers = 4;
const attends = (layer) => layer === 2;
const t = new Tensors(seed);
t.add('token_embd.weight', [HIDDEN, 160], 2.3 / Math.sqrt(HIDDEN));
t.norm('token_embd_norm', HIDDEN);
for (let layer = 0; layer < layers; layer++) {
  const at = (name) => `blk.${layer}.${name}`;
  t.norm(at('attn_norm'), HIDDEN);
  if (attends(layer)) {
    t.matrix(at('attn_q'), HIDDEN, HEADS * HEAD_DIM, 1.5);
    t.matrix(at('attn_k'), HIDDEN, KV_HEADS * HEAD_DIM, 1.5);
    t.matrix(at('attn_v'), HIDDEN, KV_HEADS * HEAD_DIM);
    t.norm(at('attn_q_norm'), HEAD_DIM, 1.4);
    t.norm(at('attn_k_norm'), HEAD_DIM, 1.4);
    t.matrix(at('attn_output'), HEADS * HEAD_DIM, HIDDEN);
  } else {
    t.matrix(at('shortconv.in_proj'), HIDDEN, 3 * HIDDEN, 1.2);
    t.add(at('shortconv.conv.weight'), [3, HIDDEN], 0.6);
    t.matrix(at('shortconv.out_proj'), HIDDEN, HIDDEN);
  }
  t.norm(at('ffn_norm'), HIDDEN);
  t.matrix(at('ffn_gate'), HIDDEN, FFN);
  t.matrix(at('ffn_up'), HIDDEN, FFN);
  t.matrix(at('ffn_down'), FFN, HIDDEN, 2);
}

export default {
  arch: 'lfm2',
  note: 'short convolutions of width 3, attention with head norms in one of four layers; tied output',
  seed,
  metadata: metadata('lfm2', 'lfm2', {
    context_length: 256,
    embedding_length: HIDDEN,
    block_count: layers,
    feed_forward_length: FFN,
    'attention.head_count': HEADS,
    'attention.head_count_kv': integers([0, 0, KV_HEADS, 0]),
    'attention.layer_norm_rms_epsilon': 1e-5,
    'shortconv.l_cache': 3,
    'rope.freq_base': { type: 'f32', value: 10000 },
    vocab_size: 160,
  }),
  tensors: t.all,
};
