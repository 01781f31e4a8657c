import { decoderTensors, HEAD_DIM, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 206;

/** Factors that grow towards the slow pairs. */
const factors = (largest) => ({
  shape: [HEAD_DIM / 2],
  data: Float32Array.from({ length: HEAD_DIM / 2 }, (_, i) => 1 + ((largest - 1) * i) / (HEAD_DIM / 2 - 1)),
});

export default {
  arch: 'phi3',
  note: 'long RoPE: the context in use is longer than the original one; fused QKV and gate/up',
  seed,
  metadata: metadata('phi3', 'long-rope', {
    ...sizes(),
    'attention.layer_norm_rms_epsilon': 1e-5,
    'attention.sliding_window': 1024,
    'rope.scaling.original_context_length': 128,
    'rope.scaling.attn_factor': 1.19,
  }),
  tensors: {
    ...decoderTensors(seed, { fused: true, ffnKind: 'fused' }),
    'rope_factors_long.weight': factors(9),
    'rope_factors_short.weight': factors(1.3),
  },
};
