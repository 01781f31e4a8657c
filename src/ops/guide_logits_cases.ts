import { GREEDY, type Segment } from '../engine/runner';
import { seededRandom } from '../engine/seeded_random';
import type { GuideLogitsCall, Optional } from './decoding_calls';
import type { Activation, OpCase } from './op';
import { PAGE_SIZE } from './step_layout';

const VOCAB = 1031;

/** Rows that are guided, in both directions, away from rows before and behind them, beside one that is not. */
export function guideLogitsCases(seed: number): readonly OpCase<GuideLogitsCall & Optional>[] {
  const random = seededRandom(seed);
  const logits: Activation = { name: 'logits', cols: VOCAB, rows: 'sampled', type: 'f32' };
  const rows = { tokens: [1, 2], position: 0, pages: [0], sampling: GREEDY, sample: 'last' } as const;
  const segments: readonly Segment[] = [
    { ...rows, slot: 3, guidance: { slot: 1, scale: 1.7 } },
    { ...rows, slot: 0 },
    { ...rows, slot: 2, sample: 'none' },
    { ...rows, slot: 1 },
    { ...rows, slot: 4, guidance: { slot: 0, scale: -0.5 } },
  ];
  const values = Float32Array.from({ length: 4 * VOCAB }, () => 8 * (random() + random() + random() - 1.5));
  return [
    {
      label: `guide_logits ${VOCAB}`,
      calls: [{ op: 'guide_logits', logits, when: 'guidance' }],
      batch: { segments },
      bucket: { minRows: 1, maxRows: 10 },
      contextLength: PAGE_SIZE,
      numPages: 1,
      kvType: 'f32',
      inputs: { logits: values },
      outputs: [{ tensor: logits, budget: 1e-9 }],
    },
  ];
}
