import { HEADS, HIDDEN, sizes } from '../decoder.mjs';
import { EXPERT_SIZE, EXPERTS, expertKeys } from '../experts.mjs';
import { metadata, Tensors, VOCAB_SIZE } from '../model.mjs';

// Of several seeds, one where no two experts are so close that half precision (llama.cpp's GELU, f16 activations) chooses between them.
const seed = 210;
const ffn = 48;
const slides = [true, true, false];
const headDims = slides.map((slide) => (slide ? 16 : 32));
const kvHeads = slides.map((slide) => (slide ? 2 : 1));

const t = new Tensors(seed);
t.add('token_embd.weight', [HIDDEN, VOCAB_SIZE], 0.03);
t.norm('output_norm', HIDDEN, 10);
t.all['rope_freqs.weight'] = { shape: [16], data: Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? 1 : 1e30)) };
slides.forEach((slide, layer) => {
  const at = (name) => `blk.${layer}.${name}`;
  const qSize = HEADS * headDims[layer];
  const kvSize = kvHeads[layer] * headDims[layer];
  for (const name of ['attn_norm', 'post_attention_norm', 'ffn_norm', 'pre_ffw_norm_2']) t.norm(at(name), HIDDEN);
  for (const name of ['post_ffw_norm', 'post_ffw_norm_1', 'post_ffw_norm_2']) t.norm(at(name), HIDDEN);
  t.matrix(at('attn_q'), HIDDEN, qSize);
  t.norm(at('attn_q_norm'), headDims[layer], 0.7);
  t.matrix(at('attn_k'), HIDDEN, kvSize);
  t.norm(at('attn_k_norm'), headDims[layer], 0.7);
  if (slide) t.matrix(at('attn_v'), HIDDEN, kvSize);
  t.matrix(at('attn_output'), qSize, HIDDEN);
  t.matrix(at('ffn_gate'), HIDDEN, ffn);
  t.matrix(at('ffn_up'), HIDDEN, ffn);
  t.matrix(at('ffn_down'), ffn, HIDDEN);
  // The router's input is 1/√hidden times a normalised row: clear choices need a scale of about that much more.
  t.matrix(at('ffn_gate_inp'), HIDDEN, EXPERTS, 1.5);
  t.add(at('ffn_gate_inp.scale'), [HIDDEN], 0.2 * Math.sqrt(HIDDEN), Math.sqrt(HIDDEN));
  t.add(at('ffn_gate_up_exps.weight'), [HIDDEN, 2 * EXPERT_SIZE, EXPERTS], 1.3 / Math.sqrt(HIDDEN));
  t.add(at('ffn_down_exps.weight'), [EXPERT_SIZE, HIDDEN, EXPERTS], 2 / Math.sqrt(EXPERT_SIZE));
  t.add(at('ffn_down_exps.scale'), [EXPERTS], 0.3, 1);
  t.all[at('layer_output_scale.weight')] = { shape: [1], data: Float32Array.of(0.8 + 0.1 * layer) };
});

const integers = (value) => ({ type: 'array', itemType: 'u32', value });

export default {
  arch: 'gemma4',
  note: 'experts beside the feed-forward network, a norm before and after each; a scale of the router and of each expert',
  seed,
  metadata: metadata('gemma4', 'gemma4-moe', {
    ...sizes({ layers: slides.length, ffn, headDim: 32, base: 1000000 }),
    ...expertKeys,
    expert_feed_forward_length: EXPERT_SIZE,
    'attention.head_count_kv': integers(kvHeads),
    'attention.layer_norm_rms_epsilon': 1e-6,
    'attention.key_length_swa': 16,
    'attention.value_length_swa': 16,
    'attention.sliding_window': 24,
    'attention.sliding_window_pattern': slides,
    'rope.freq_base_swa': { type: 'f32', value: 10000 },
    'rope.dimension_count_swa': 16,
    embedding_length_per_layer_input: 0,
    final_logit_softcapping: { type: 'f32', value: 5 },
  }),
  tensors: t.all,
};
