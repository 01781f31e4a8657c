import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 205;

export default {
  arch: 'qwen2',
  note: 'YaRN: factor 4 over an original context of 64; biases of Q, K and V',
  seed,
  metadata: metadata('qwen2', 'qwen2-yarn', {
    ...sizes({ base: 10000 }),
    'attention.layer_norm_rms_epsilon': 1e-6,
    'rope.scaling.type': 'yarn',
    'rope.scaling.factor': { type: 'f32', value: 4 },
    'rope.scaling.original_context_length': 64,
  }),
  tensors: decoderTensors(seed, { biases: ['attn_q', 'attn_k', 'attn_v'] }),
};
