import { GREEDY, type Segment } from '../engine/runner';
import { seededRandom } from '../engine/seeded_random';
import type { ArgmaxCall, DolaContrastCall, DolaSelectCall, Optional } from './decoding_calls';
import type { Activation, OpCase } from './op';
import { samplerStates } from './sampler_state';
import { PAGE_SIZE } from './step_layout';

const VOCAB = 1031;
const SAMPLED = 5;
const LAYERS = [0, 3, 70];

type Calls = (DolaSelectCall | DolaContrastCall | ArgmaxCall) & Optional;

/** Three layers, of which rows contrast all, some and none: the contrast of every token, and what is chosen from plausible ones. */
export function dolaCases(seed: number): readonly OpCase<Calls>[] {
  const random = seededRandom(seed);
  const tensor = (name: string, cols = VOCAB): Activation => ({ name, cols, rows: 'sampled', type: 'f32' });
  const values = (scale: number, cols = VOCAB): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: SAMPLED * cols }, () => scale * (random() + random() + random() - 1.5));
  const [logits, base, divergence] = [tensor('logits'), tensor('base'), tensor('divergence', 1)];
  const rows = { tokens: [1, 2, 3], position: 0, pages: [0], sampling: GREEDY } as const;
  const segments: readonly Segment[] = [
    { ...rows, slot: 2, sample: 'all', dola: LAYERS },
    { ...rows, slot: 0, sample: 'last' },
    { ...rows, slot: 1, sample: 'last', dola: [3, 70] },
  ];
  const { lastTokens, samples } = samplerStates({
    maxSlots: 3,
    vocabSize: VOCAB,
    maxSampledRows: SAMPLED,
    contextLength: PAGE_SIZE,
  });
  const calls = (relativeTop: number): Calls[] => [
    ...LAYERS.map((layer): Calls => {
      const early = tensor(`early${layer}`);
      return { op: 'dola_select', logits, early, base, divergence, layer, when: `dola:${layer}` };
    }),
    { op: 'dola_contrast', logits, base, relativeTop, when: 'dola' },
    { op: 'argmax', logits, lastTokens, samples },
  ];
  const common = {
    batch: { segments },
    bucket: { minRows: 1, maxRows: 9 },
    contextLength: PAGE_SIZE,
    numPages: 1,
    kvType: 'f32',
    inputs: { logits: values(8), base: values(1), divergence: values(0, 1) },
  } as const;
  return [
    {
      ...common,
      label: `dola ${VOCAB}: every token's contrast`,
      // None is less likely than this, so that every value can be compared.
      calls: calls(1e-30),
      outputs: [
        { tensor: divergence, budget: 1e-9 },
        { tensor: base, budget: 1e-9 },
        { tensor: logits, budget: 1e-9 },
      ],
    },
    {
      ...common,
      label: `dola ${VOCAB}: choice`,
      calls: calls(0.1),
      outputs: [
        { tensor: samples, budget: 'exact' },
        { tensor: lastTokens, budget: 'exact' },
      ],
    },
  ];
}
