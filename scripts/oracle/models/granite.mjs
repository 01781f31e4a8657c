import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 203;

export default {
  arch: 'granite',
  note: 'scales of embeddings, residuals, attention and logits',
  seed,
  metadata: metadata('granite', 'granite', {
    ...sizes(),
    'attention.layer_norm_rms_epsilon': 1e-5,
    'attention.scale': 0.4,
    embedding_scale: { type: 'f32', value: 6 },
    residual_scale: 0.22,
    logit_scale: 0.8,
  }),
  tensors: decoderTensors(seed, { tableGain: 0.15 }),
};
