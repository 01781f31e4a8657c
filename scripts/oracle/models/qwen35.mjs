import { hybrid } from '../hybrid.mjs';

export default {
  ...hybrid('qwen35', 402, { mrope: true }),
  note: 'gated delta nets with tiled heads, gated attention in the fourth layer with half of each head rotated, dense networks',
};
