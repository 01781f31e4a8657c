import { HEADS, HIDDEN, sizes } from '../decoder.mjs';
import { metadata, Tensors, VOCAB_SIZE } from '../model.mjs';

const seed = 208;
const ffn = 32;
const perLayer = 8;
/** Layers that slide; the last two have no keys and values of their own. */
const slides = [true, true, false, true, false];
const shared = 2;
const headDims = slides.map((slide) => (slide ? 16 : 32));
const kvHeads = slides.map((slide) => (slide ? 2 : 1));

const t = new Tensors(seed);
t.add('token_embd.weight', [HIDDEN, VOCAB_SIZE], 0.03);
t.norm('output_norm', HIDDEN, 10);
t.add('per_layer_token_embd.weight', [perLayer * slides.length, VOCAB_SIZE], 0.3);
t.matrix('per_layer_model_proj', HIDDEN, perLayer * slides.length);
t.norm('per_layer_proj_norm', perLayer);
// Half of the pairs of a full layer do not turn.
t.all['rope_freqs.weight'] = { shape: [16], data: Float32Array.from({ length: 16 }, (_, i) => (i < 8 ? 1 : 1e30)) };
slides.forEach((_, layer) => {
  const at = (name) => `blk.${layer}.${name}`;
  const qSize = HEADS * headDims[layer];
  const kvSize = kvHeads[layer] * headDims[layer];
  const own = layer < slides.length - shared;
  for (const name of ['attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm', 'post_norm'])
    t.norm(at(name), HIDDEN);
  t.matrix(at('attn_q'), HIDDEN, qSize);
  t.norm(at('attn_q_norm'), headDims[layer], 0.7);
  if (own) {
    t.matrix(at('attn_k'), HIDDEN, kvSize);
    t.norm(at('attn_k_norm'), headDims[layer], 0.7);
    // A full layer takes its keys for values.
    if (slides[layer]) t.matrix(at('attn_v'), HIDDEN, kvSize);
  }
  t.matrix(at('attn_output'), qSize, HIDDEN);
  t.matrix(at('ffn_gate'), HIDDEN, ffn);
  t.matrix(at('ffn_up'), HIDDEN, ffn);
  t.matrix(at('ffn_down'), ffn, HIDDEN);
  t.matrix(at('inp_gate'), HIDDEN, perLayer);
  t.matrix(at('proj'), perLayer, HIDDEN);
  t.all[at('layer_output_scale.weight')] = { shape: [1], data: Float32Array.of(0.8 + 0.1 * layer) };
});

const integers = (value) => ({ type: 'array', itemType: 'u32', value });

export default {
  arch: 'gemma4',
  note: 'sliding and full layers of other head sizes, K in place of V, shared K/V layers, per-layer embeddings, layer scales',
  seed,
  metadata: metadata('gemma4', 'gemma4', {
    ...sizes({ layers: slides.length, ffn, headDim: 32, base: 1000000 }),
    'attention.head_count_kv': integers(kvHeads),
    'attention.layer_norm_rms_epsilon': 1e-6,
    'attention.key_length_swa': 16,
    'attention.value_length_swa': 16,
    'attention.sliding_window': 24,
    'attention.sliding_window_pattern': slides,
    'attention.shared_kv_layers': shared,
    'rope.freq_base_swa': { type: 'f32', value: 10000 },
    'rope.dimension_count_swa': 16,
    embedding_length_per_layer_input: perLayer,
    final_logit_softcapping: { type: 'f32', value: 5 },
  }),
  tensors: t.all,
};
