import { decoderTensors, HEADS, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 305;

export default {
  arch: 'phi2',
  note: 'parallel branches on one norm, half of each head rotates, biases everywhere, also of the output',
  seed,
  metadata: metadata('phi2', 'phi2', {
    ...sizes({ kvHeads: HEADS, ropeDims: 8 }),
    'attention.layer_norm_epsilon': 1e-5,
  }),
  tensors: decoderTensors(seed, {
    kvHeads: HEADS,
    fused: true,
    biases: ['attn_qkv', 'attn_output', 'ffn_up', 'ffn_down'],
    norms: ['attn_norm'],
    normBiases: true,
    ffnKind: 'plain',
    extra: (t, layer) => layer === 0 && t.bias('output', 160),
  }),
};
