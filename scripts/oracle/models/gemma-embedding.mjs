import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const layers = 6;
const ffn = 32;
const seed = 311;

export default {
  arch: 'gemma-embedding',
  kind: 'embedding',
  note: 'looks both ways; window 24 (12 to each side) on five of six layers, two RoPE bases; mean pooling',
  seed,
  metadata: metadata('gemma-embedding', 'gemma-embedding', {
    ...sizes({ layers, ffn, kvHeads: 1, base: 1e6 }),
    'attention.layer_norm_rms_epsilon': 1e-6,
    'attention.sliding_window': 24,
    pooling_type: 1,
  }),
  tensors: decoderTensors(seed, {
    layers,
    ffn,
    kvHeads: 1,
    tied: true,
    tableGain: 0.3,
    qkNorm: 'head',
    norms: ['attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm'],
  }),
};
