import { decoderTensors, sizes } from '../decoder.mjs';
import { EXPERT_SIZE, expertKeys, experts } from '../experts.mjs';
import { metadata } from '../model.mjs';

const seed = 404;
const SHARED = 48;

export default {
  arch: 'granitemoe',
  note: 'a shared expert without a gate, scaled residuals',
  seed,
  metadata: metadata('granitemoe', 'granitemoe', {
    ...sizes({ ffn: EXPERT_SIZE }),
    ...expertKeys,
    expert_shared_feed_forward_length: SHARED,
    'attention.layer_norm_rms_epsilon': 1e-5,
    'attention.scale': 0.4,
    embedding_scale: { type: 'f32', value: 6 },
    residual_scale: 0.4,
    logit_scale: 0.8,
  }),
  tensors: decoderTensors(seed, { ffnKind: 'none', tableGain: 0.15, extra: experts({ shared: SHARED }) }),
};
