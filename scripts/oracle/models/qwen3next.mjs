import { hybrid } from '../hybrid.mjs';

export default {
  ...hybrid('qwen3next', 403, { grouped: true, experts: true }),
  note: 'gated delta nets with grouped heads, gated attention in the fourth layer, experts with a gated shared one',
};
