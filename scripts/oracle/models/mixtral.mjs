import { decoderTensors, sizes } from '../decoder.mjs';
import { EXPERT_SIZE, expertKeys, experts } from '../experts.mjs';
import { metadata } from '../model.mjs';

const seed = 401;

export default {
  // Not with the llama fixtures, which run on more variants.
  arch: 'mixtral',
  note: 'llama with experts, weights that sum to 1',
  seed,
  metadata: metadata('llama', 'mixtral', {
    ...sizes({ ffn: EXPERT_SIZE }),
    ...expertKeys,
    'attention.layer_norm_rms_epsilon': 1e-5,
  }),
  tensors: decoderTensors(seed, { ffnKind: 'none', tied: true, tableGain: 0.3, extra: experts() }),
};
