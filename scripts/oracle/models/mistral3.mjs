import { decoderTensors, sizes } from '../decoder.mjs';
import { metadata } from '../model.mjs';

const seed = 209;

export default {
  arch: 'mistral3',
  note: 'Llama with YaRN, factor 4 over an original context of 64, whose attention factor is divided by the log multiplier',
  seed,
  metadata: metadata('mistral3', 'mistral3', {
    ...sizes(),
    'attention.layer_norm_rms_epsilon': 1e-5,
    'rope.scaling.type': 'yarn',
    'rope.scaling.factor': { type: 'f32', value: 4 },
    'rope.scaling.original_context_length': 64,
    'rope.scaling.yarn_log_multiplier': 0.5,
  }),
  tensors: decoderTensors(seed),
};
