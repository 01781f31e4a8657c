import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 303;

export default {
  arch: 'falcon',
  note: 'the 7B form: parallel branches on one norm, one K/V head, no biases but those of the norms',
  seed,
  metadata: metadata('falcon', 'falcon-7b', { ...sizes({ kvHeads: 1 }), 'attention.layer_norm_epsilon': 1e-5 }),
  tensors: decoderTensors(seed, { kvHeads: 1, fused: true, norms: ['attn_norm'], normBiases: true, ffnKind: 'plain' }),
};
