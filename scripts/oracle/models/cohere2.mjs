import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const layers = 4;
const ffn = 32;
const seed = 308;

export default {
  arch: 'cohere2',
  note: 'parallel branches on one norm without bias, window 24 on three of four layers, which alone rotate; scaled logits, tied output',
  seed,
  metadata: metadata('cohere2', 'cohere2', {
    ...sizes({ layers, ffn }),
    'attention.layer_norm_epsilon': 1e-5,
    'attention.sliding_window': 24,
    logit_scale: { type: 'f32', value: 0.5 },
  }),
  tensors: decoderTensors(seed, { layers, ffn, norms: ['attn_norm'], tied: true, tableGain: 0.5 }),
};
