import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 306;

export default {
  arch: 'stablelm',
  note: 'one branch after the other, biases of Q, K and V, a quarter of each head rotates, gated network',
  seed,
  metadata: metadata('stablelm', 'stablelm', {
    ...sizes({ ropeDims: 4 }),
    'attention.layer_norm_epsilon': 1e-5,
    use_parallel_residual: false,
  }),
  tensors: decoderTensors(seed, { biases: ['attn_q', 'attn_k', 'attn_v'], normBiases: true }),
};
