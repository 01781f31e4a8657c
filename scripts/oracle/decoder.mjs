/** Tensors of decoders with the usual names; sizes are the same in all models, so that tests compile few kernels. */
import { Tensors, VOCAB_SIZE } from './model.mjs';

export const HIDDEN = 64;
export const HEADS = 4;
export const KV_HEADS = 2;
export const HEAD_DIM = 16;
export const FFN = 96;

/** Keys that nearly every decoder has. */
export function sizes({
  layers = 2,
  ffn = FFN,
  headDim = HEAD_DIM,
  kvHeads = KV_HEADS,
  ropeDims = headDim,
  base = 10000,
} = {}) {
  return {
    context_length: 256,
    embedding_length: HIDDEN,
    block_count: layers,
    feed_forward_length: ffn,
    'attention.head_count': HEADS,
    'attention.head_count_kv': kvHeads,
    'attention.key_length': headDim,
    'attention.value_length': headDim,
    'rope.dimension_count': ropeDims,
    'rope.freq_base': { type: 'f32', value: base },
    vocab_size: 160,
  };
}

/**
 * `norms`: names of a layer's norms. `qkNorm`: false, 'head' or 'projection'. `biases`: names of the projections that have one.
 * `tableGain`: size of the embedding table; small ones keep a tied model from answering every token with itself.
 * `fused`: attn_qkv in place of three. `ffnKind`: 'gated', 'fused' (gate and up in ffn_up), 'plain' or 'none'.
 */
export function decoderTensors(seed, options = {}) {
  const {
    layers = 2,
    headDim = HEAD_DIM,
    kvHeads = KV_HEADS,
    ffn = FFN,
    norms = ['attn_norm', 'ffn_norm'],
    normBiases = false,
    qkNorm = false,
    biases = [],
    fused = false,
    ffnKind = 'gated',
    tied = false,
    normMean = 1,
    tableGain = 1,
    extra,
  } = options;
  const t = new Tensors(seed);
  const qSize = HEADS * headDim;
  const kvSize = kvHeads * headDim;
  const norm = (name) => {
    t.norm(name, HIDDEN, normMean);
    if (normBiases) t.bias(name, HIDDEN);
  };
  t.add('token_embd.weight', [HIDDEN, VOCAB_SIZE], (2.3 * tableGain) / Math.sqrt(HIDDEN));
  if (!tied) t.table('output', HIDDEN);
  t.norm('output_norm', HIDDEN, tied ? normMean / tableGain : normMean);
  if (normBiases) t.bias('output_norm', HIDDEN);
  for (let layer = 0; layer < layers; layer++) {
    const at = (name) => `blk.${layer}.${name}`;
    const matrix = (name, cols, rows, gain) => {
      t.matrix(at(name), cols, rows, gain);
      if (biases.includes(name)) t.bias(at(name), rows);
    };
    for (const name of norms) norm(at(name));
    // Queries and keys of more than unit size: attention that looks somewhere.
    if (fused) matrix('attn_qkv', HIDDEN, qSize + 2 * kvSize, 1.4);
    else {
      matrix('attn_q', HIDDEN, qSize, 1.5);
      matrix('attn_k', HIDDEN, kvSize, 1.5);
      matrix('attn_v', HIDDEN, kvSize);
    }
    if (qkNorm) {
      t.norm(at('attn_q_norm'), qkNorm === 'head' ? headDim : qSize, 1.4);
      t.norm(at('attn_k_norm'), qkNorm === 'head' ? headDim : kvSize, 1.4);
    }
    matrix('attn_output', qSize, HIDDEN);
    if (ffnKind === 'gated') {
      matrix('ffn_gate', HIDDEN, ffn);
      matrix('ffn_up', HIDDEN, ffn);
    } else if (ffnKind !== 'none') matrix('ffn_up', HIDDEN, ffnKind === 'fused' ? 2 * ffn : ffn);
    if (ffnKind !== 'none') matrix('ffn_down', ffn, HIDDEN, 2);
    extra?.(t, layer);
  }
  return t.all;
}
