/** Models of Qwen's hybrid kind: gated delta nets, gated attention in every fourth layer, dense networks or experts. */
import { FFN, HEADS, HIDDEN, KV_HEADS } from './decoder.mjs';
import { integers } from './gguf.mjs';
import { metadata, Tensors } from './model.mjs';

const LAYERS = 4;
const HEAD_DIM = 16;
const KEY_HEADS = 2;
const VALUE_HEADS = 4;
const STATE = 16;
const WIDTH = 4;
const EXPERTS = 4;
const EXPERT_FFN = 32;

export function hybrid(architecture, seed, { grouped = false, experts = false, mrope = false }) {
  const t = new Tensors(seed);
  t.add('token_embd.weight', [HIDDEN, 160], 2.3 / Math.sqrt(HIDDEN));
  t.table('output', HIDDEN);
  t.norm('output_norm', HIDDEN);
  const value = VALUE_HEADS * STATE;
  const channels = 2 * KEY_HEADS * STATE + value;
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = (name) => `blk.${layer}.${name}`;
    t.norm(at('attn_norm'), HIDDEN);
    t.norm(at('post_attention_norm'), HIDDEN);
    if (layer % 4 === 3) {
      t.matrix(at('attn_q'), HIDDEN, 2 * HEADS * HEAD_DIM, 1.5);
      t.matrix(at('attn_k'), HIDDEN, KV_HEADS * HEAD_DIM, 1.5);
      t.matrix(at('attn_v'), HIDDEN, KV_HEADS * HEAD_DIM);
      t.norm(at('attn_q_norm'), HEAD_DIM, 1.4);
      t.norm(at('attn_k_norm'), HEAD_DIM, 1.4);
      t.matrix(at('attn_output'), HEADS * HEAD_DIM, HIDDEN, 1.5);
    } else {
      t.matrix(at('attn_qkv'), HIDDEN, channels, 1.4);
      t.matrix(at('attn_gate'), HIDDEN, value);
      if (grouped) t.matrix(at('ssm_ba'), HIDDEN, 2 * VALUE_HEADS);
      else {
        t.matrix(at('ssm_beta'), HIDDEN, VALUE_HEADS);
        t.matrix(at('ssm_alpha'), HIDDEN, VALUE_HEADS);
      }
      t.add(at('ssm_conv1d.weight'), [WIDTH, channels], 0.6);
      // Negative, as −exp gives them: states that are kept for some tens of tokens.
      t.add(at('ssm_a'), [VALUE_HEADS], 0.01, -0.06);
      t.add(at('ssm_dt.bias'), [VALUE_HEADS], 0.5);
      t.norm(at('ssm_norm'), STATE);
      t.matrix(at('ssm_out'), value, HIDDEN, 1.5);
    }
    if (experts) {
      t.matrix(at('ffn_gate_inp'), HIDDEN, EXPERTS, 2);
      t.add(at('ffn_gate_exps.weight'), [HIDDEN, EXPERT_FFN, EXPERTS], 1 / Math.sqrt(HIDDEN));
      t.add(at('ffn_up_exps.weight'), [HIDDEN, EXPERT_FFN, EXPERTS], 1 / Math.sqrt(HIDDEN));
      t.add(at('ffn_down_exps.weight'), [EXPERT_FFN, HIDDEN, EXPERTS], 2 / Math.sqrt(EXPERT_FFN));
      t.add(at('ffn_gate_inp_shexp.weight'), [HIDDEN], 1 / Math.sqrt(HIDDEN));
      t.matrix(at('ffn_gate_shexp'), HIDDEN, EXPERT_FFN);
      t.matrix(at('ffn_up_shexp'), HIDDEN, EXPERT_FFN);
      t.matrix(at('ffn_down_shexp'), EXPERT_FFN, HIDDEN, 2);
    } else {
      t.matrix(at('ffn_gate'), HIDDEN, FFN);
      t.matrix(at('ffn_up'), HIDDEN, FFN);
      t.matrix(at('ffn_down'), FFN, HIDDEN, 2);
    }
  }
  return {
    arch: architecture,
    seed,
    metadata: metadata(architecture, architecture, {
      context_length: 256,
      embedding_length: HIDDEN,
      block_count: LAYERS,
      feed_forward_length: FFN,
      'attention.head_count': HEADS,
      'attention.head_count_kv': KV_HEADS,
      'attention.key_length': HEAD_DIM,
      'attention.value_length': HEAD_DIM,
      'attention.layer_norm_rms_epsilon': 1e-6,
      'rope.dimension_count': 8,
      'rope.freq_base': { type: 'f32', value: 10000 },
      ...(mrope && { 'rope.dimension_sections': integers([2, 1, 1, 0]) }),
      full_attention_interval: 4,
      'ssm.conv_kernel': WIDTH,
      'ssm.inner_size': value,
      'ssm.state_size': STATE,
      'ssm.time_step_rank': VALUE_HEADS,
      'ssm.group_count': KEY_HEADS,
      ...(experts && {
        expert_count: EXPERTS,
        expert_used_count: 2,
        expert_feed_forward_length: EXPERT_FFN,
        expert_shared_feed_forward_length: EXPERT_FFN,
      }),
      vocab_size: 160,
    }),
    tensors: t.all,
  };
}
