import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 302;

export default {
  arch: 'starcoder2',
  note: 'layer norms and projections with biases, grouped K/V heads, RoPE of the split kind, plain GELU network',
  seed,
  metadata: metadata('starcoder2', 'starcoder2', { ...sizes(), 'attention.layer_norm_epsilon': 1e-5 }),
  tensors: decoderTensors(seed, {
    biases: ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down'],
    normBiases: true,
    ffnKind: 'plain',
  }),
};
