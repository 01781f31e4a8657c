import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 304;

export default {
  arch: 'falcon',
  note: 'the 40B form: a norm for attention beside that of the feed-forward network, grouped K/V heads',
  seed,
  metadata: metadata('falcon', 'falcon-40b', { ...sizes(), 'attention.layer_norm_epsilon': 1e-5 }),
  tensors: decoderTensors(seed, {
    fused: true,
    norms: ['attn_norm', 'attn_norm_2'],
    normBiases: true,
    ffnKind: 'plain',
  }),
};
