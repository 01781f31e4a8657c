import { GREEDY, type Segment } from '../engine/runner';
import { seededRandom } from '../engine/seeded_random';
import type { ArgmaxCall, MaskLogitsCall, Optional } from './decoding_calls';
import type { OpCase } from './op';
import { samplerStates } from './sampler_state';
import { maskWords, PAGE_SIZE } from './step_layout';

const VOCAB = 4099;

/** What is chosen after masks were applied: rows with masks of half, of few and of one token beside rows without. */
export function maskLogitsCases(seed: number): readonly OpCase<(MaskLogitsCall | ArgmaxCall) & Optional>[] {
  const random = seededRandom(seed);
  const mask = (share: number): Uint32Array => {
    const words = new Uint32Array(maskWords(VOCAB));
    for (let t = 0; t < VOCAB; t++) if (random() < share) words[t >>> 5] |= 1 << (t & 31);
    return words;
  };
  const one = new Uint32Array(maskWords(VOCAB));
  one[one.length - 1] = 1 << ((VOCAB - 1) & 31);
  const rows = { tokens: [1, 2, 3], position: 0, pages: [0], sampling: GREEDY } as const;
  const segments: readonly Segment[] = [
    { ...rows, slot: 2, sample: 'all', masks: [mask(0.5), undefined, mask(0.01)] },
    { ...rows, slot: 0, sample: 'last' },
    { ...rows, slot: 1, sample: 'last', masks: [one] },
  ];
  const logits = { name: 'logits', cols: VOCAB, rows: 'sampled', type: 'f32' } as const;
  const { lastTokens, samples } = samplerStates({
    maxSlots: 3,
    vocabSize: VOCAB,
    maxSampledRows: 5,
    contextLength: PAGE_SIZE,
  });
  return [
    {
      label: `mask_logits ${VOCAB}`,
      calls: [
        { op: 'mask_logits', logits, when: 'masks' },
        { op: 'argmax', logits, lastTokens, samples },
      ],
      batch: { segments },
      bucket: { minRows: 1, maxRows: 9 },
      contextLength: PAGE_SIZE,
      numPages: 1,
      kvType: 'f32',
      outputs: [
        { tensor: samples, budget: 'exact' },
        { tensor: lastTokens, budget: 'exact' },
      ],
    },
  ];
}
