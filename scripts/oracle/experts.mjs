/** Experts in place of a feed-forward network. */
import { HIDDEN } from './decoder.mjs';

export const EXPERTS = 5;
export const EXPERTS_USED = 2;
export const EXPERT_SIZE = 32;

/** Keys of every model with experts. */
export const expertKeys = { expert_count: EXPERTS, expert_used_count: EXPERTS_USED };

/**
 * An `extra` for decoderTensors. The router's logits have a deviation of about `routerGain`: clear choices, since the numbers to compare with
 * end at the sixth digit. `shared`: width of a shared expert, `sharedGate`: it has one.
 */
export function experts({ biases = false, shared = 0, sharedGate = false, routerGain = 1.5, downGain = 3 } = {}) {
  return (t, layer) => {
    const at = (name) => `blk.${layer}.${name}`;
    const stack = (name, cols, rows, gain) => {
      t.add(at(`${name}.weight`), [cols, rows, EXPERTS], gain / Math.sqrt(cols));
      if (biases) t.add(at(`${name}.bias`), [rows, EXPERTS], 0.2);
    };
    t.matrix(at('ffn_gate_inp'), HIDDEN, EXPERTS, routerGain);
    if (biases) t.bias(at('ffn_gate_inp'), EXPERTS);
    stack('ffn_gate_exps', HIDDEN, EXPERT_SIZE, 1.5);
    stack('ffn_up_exps', HIDDEN, EXPERT_SIZE, 1);
    stack('ffn_down_exps', EXPERT_SIZE, HIDDEN, downGain);
    if (shared === 0) return;
    t.matrix(at('ffn_gate_shexp'), HIDDEN, shared);
    t.matrix(at('ffn_up_shexp'), HIDDEN, shared);
    t.matrix(at('ffn_down_shexp'), shared, HIDDEN, 2);
    if (sharedGate) t.add(at('ffn_gate_inp_shexp.weight'), [HIDDEN], 1.5 / Math.sqrt(HIDDEN));
  };
}
