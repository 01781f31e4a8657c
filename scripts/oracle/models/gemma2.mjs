import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const layers = 4;
const ffn = 32;
const seed = 202;

export default {
  arch: 'gemma2',
  note: 'window 24 on every other layer, soft-capped attention scores and logits, norms before and after',
  seed,
  metadata: metadata('gemma2', 'gemma2', {
    ...sizes({ layers, ffn }),
    'attention.layer_norm_rms_epsilon': 1e-6,
    'attention.sliding_window': 24,
    // Low enough to bend scores and logits of this size.
    attn_logit_softcapping: { type: 'f32', value: 3 },
    final_logit_softcapping: { type: 'f32', value: 5 },
  }),
  tensors: decoderTensors(seed, {
    layers,
    ffn,
    tied: true,
    tableGain: 0.2,
    norms: ['attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm'],
  }),
};
