import { decoderTensors, HEADS, sizes } from '../decoder.mjs';
import { EXPERT_SIZE, expertKeys, experts } from '../experts.mjs';
import { metadata } from '../model.mjs';

const seed = 403;

export default {
  arch: 'olmoe',
  note: 'norms of all of Q and K, weights of the softmax over all experts',
  seed,
  metadata: metadata('olmoe', 'olmoe', {
    ...sizes({ ffn: EXPERT_SIZE, kvHeads: HEADS }),
    ...expertKeys,
    'attention.layer_norm_rms_epsilon': 1e-5,
  }),
  tensors: decoderTensors(seed, {
    ffnKind: 'none',
    kvHeads: HEADS,
    qkNorm: 'projection',
    extra: experts({ downGain: 5 }),
  }),
};
