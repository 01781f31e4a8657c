import { hybrid } from '../hybrid.mjs';

export default {
  ...hybrid('qwen35moe', 404, { mrope: true, experts: true }),
  note: 'gated delta nets with tiled heads, experts with a gated shared one',
};
