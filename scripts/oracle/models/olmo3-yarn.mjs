import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const layers = 4;
const ffn = 32;
const seed = 207;

export default {
  arch: 'olmo2',
  note: 'olmo3: window 24 and plain RoPE on three of four layers, YaRN on the fourth; norms after the branches and of whole Q and K',
  seed,
  metadata: metadata('olmo2', 'olmo3-yarn', {
    ...sizes({ layers, ffn, base: 500000 }),
    'attention.layer_norm_rms_epsilon': 1e-6,
    'attention.sliding_window': 24,
    'rope.scaling.type': 'yarn',
    'rope.scaling.factor': { type: 'f32', value: 8 },
    'rope.scaling.original_context_length': 32,
  }),
  tensors: decoderTensors(seed, { layers, ffn, qkNorm: 'projection', norms: ['post_attention_norm', 'post_ffw_norm'] }),
};
