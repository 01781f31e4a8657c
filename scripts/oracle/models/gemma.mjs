import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 201;

export default {
  arch: 'gemma',
  note: 'scaled embedding, GELU gates, one K/V head, heads wider than hidden / heads',
  seed,
  metadata: metadata('gemma', 'gemma', {
    ...sizes({ headDim: 32, kvHeads: 1 }),
    'attention.layer_norm_rms_epsilon': 1e-6,
  }),
  tensors: decoderTensors(seed, { headDim: 32, kvHeads: 1, tied: true, tableGain: 0.1 }),
};
