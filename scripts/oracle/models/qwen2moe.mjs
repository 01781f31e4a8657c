import { decoderTensors, sizes } from '../decoder.mjs';
import { EXPERT_SIZE, expertKeys, experts } from '../experts.mjs';
import { metadata } from '../model.mjs';

const seed = 402;
const SHARED = 48;

export default {
  arch: 'qwen2moe',
  note: 'a shared expert behind a gate, weights of the softmax over all experts',
  seed,
  metadata: metadata('qwen2moe', 'qwen2moe', {
    ...sizes(),
    ...expertKeys,
    expert_feed_forward_length: EXPERT_SIZE,
    expert_shared_feed_forward_length: SHARED,
    'attention.layer_norm_rms_epsilon': 1e-6,
  }),
  tensors: decoderTensors(seed, {
    ffnKind: 'none',
    biases: ['attn_q', 'attn_k', 'attn_v'],
    extra: experts({ shared: SHARED, sharedGate: true, downGain: 5 }),
  }),
};
