import { decoderTensors, HEADS, sizes } from '../decoder.mjs';
import { EXPERT_SIZE, expertKeys, experts } from '../experts.mjs';
import { metadata, seeded } from '../model.mjs';
import { randomMxfp4 } from '../mxfp4.mjs';

const seed = 405;

const decoded = decoderTensors(seed, {
  layers: 4,
  ffnKind: 'none',
  norms: ['attn_norm', 'post_attention_norm'],
  biases: ['attn_q', 'attn_k', 'attn_v', 'attn_output'],
  extra: (t, layer) => {
    t.add(`blk.${layer}.attn_sinks.weight`, [HEADS], 1, 1);
    experts({ biases: true })(t, layer);
  },
});

// Codes in place of the experts' values, some of them large enough for the clamps.
const random = seeded(seed + 2);
const encoded = { ...decoded };
for (const name of Object.keys(decoded).filter((key) => key.endsWith('_exps.weight'))) {
  const { shape } = decoded[name];
  const deviation = (name.includes('gate') ? 4 : name.includes('up') ? 3 : 0.6) / Math.sqrt(shape[0]);
  ({ encoded: encoded[name], decoded: decoded[name] } = randomMxfp4(shape, deviation, random));
}

export default {
  arch: 'gpt-oss',
  note: 'attention sinks, a window in every other layer, biases, MXFP4 experts with a clamped SwiGLU, YaRN',
  seed,
  weights: 'MXFP4',
  metadata: metadata('gpt-oss', 'gpt-oss', {
    ...sizes({ layers: 4 }),
    ...expertKeys,
    expert_feed_forward_length: EXPERT_SIZE,
    'attention.layer_norm_rms_epsilon': 1e-5,
    'attention.sliding_window': 24,
    'rope.scaling.type': 'yarn',
    'rope.scaling.factor': { type: 'f32', value: 4 },
    'rope.scaling.original_context_length': 64,
  }),
  tensors: encoded,
  oracleTensors: decoded,
};
