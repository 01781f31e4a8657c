import { decoderTensors, HEAD_DIM, HEADS, KV_HEADS, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 307;

export default {
  arch: 'stablelm',
  note: 'the 12B form: parallel branches on one norm, layer norms of each query and key head with weights of its own',
  seed,
  metadata: metadata('stablelm', 'stablelm-12b', {
    ...sizes({ ropeDims: 4 }),
    'attention.layer_norm_epsilon': 1e-5,
    use_parallel_residual: true,
  }),
  tensors: decoderTensors(seed, {
    norms: ['attn_norm'],
    normBiases: true,
    extra: (t, layer) => {
      t.add(`blk.${layer}.attn_q_norm.weight`, [HEAD_DIM, HEADS], 0.3, 1.4);
      t.add(`blk.${layer}.attn_k_norm.weight`, [HEAD_DIM, KV_HEADS], 0.3, 1.4);
    },
  }),
};
