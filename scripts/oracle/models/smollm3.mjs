import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const layers = 4;
const ffn = 32;
const seed = 204;

export default {
  arch: 'smollm3',
  note: 'no RoPE in every fourth layer',
  seed,
  metadata: metadata('smollm3', 'smollm3', {
    ...sizes({ layers, ffn, base: 50000 }),
    'attention.layer_norm_rms_epsilon': 1e-6,
  }),
  tensors: decoderTensors(seed, { layers, ffn, tied: true }),
};
